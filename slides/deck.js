// Makes slides of the sections of a page. First, what does not fit on a slide goes on to another one; then keys.
// Arrows, space, Page Up and Down, Home, End, a tap at the left or right edge: go. n: notes in a window of their own.
"use strict";
addEventListener("load", () => {
  const deck = document.querySelector(".deck");
  const SHRINK_BEFORE_CUT = 0.85, SMALLEST = 0.65, STEP = 0.05, ENLARGE = 1.7;

  // --- fitting -----------------------------------------------------------------------------------------------------
  const tooTall = (content) => content.scrollHeight > content.clientHeight + 1;
  const tooWide = (block) => block.scrollWidth > block.clientWidth + 1;

  function shrink(block, wrong, least, before) {
    for (let size = before ?? 1; size > least - 0.001; size -= STEP) {
      block.style.fontSize = `${size}em`;
      if (!wrong(block)) return true;
    }
    return false;
  }

  function fit(slide) {
    const content = slide.querySelector(".content");
    content.querySelectorAll(".formula, .table, pre").forEach((block) => tooWide(block) && shrink(block, tooWide, 0.5));
    if (shrink(content, tooTall, SHRINK_BEFORE_CUT)) {
      enlarge(content);
      return;
    }
    content.style.fontSize = "";
    const next = slide.cloneNode(true), body = next.querySelector(".content"), rest = cut(content);
    shrink(content, tooTall, SMALLEST);
    if (rest === null) return;
    next.removeAttribute("id");
    next.removeAttribute("data-cell");
    next.classList.add("continued");
    const kept = [...body.children].filter((block) => block.matches(".kicker, h2, h3")).slice(0, 2);
    body.replaceChildren(...kept, ...rest);
    slide.after(next);
    fit(next);
  }

  // A picture alone on its slide takes the room that is left, up to ENLARGE times its pixels.
  function enlarge(content) {
    const [picture, another] = content.querySelectorAll("img");
    if (!picture || another) return;
    picture.style.maxHeight = "none";
    const most = (picture.naturalHeight * ENLARGE) / parseFloat(getComputedStyle(picture).fontSize);
    for (let height = Math.min(20, most); height > 1; height -= 0.5) {
      picture.style.height = `${height}em`;
      const asWideAsItMayBe = picture.offsetWidth >= picture.parentElement.clientWidth;
      if (!tooTall(content) && !(asWideAsItMayBe && stretched(picture))) return;
    }
  }

  const stretched = (picture) =>
    Math.abs(picture.offsetWidth / picture.offsetHeight / (picture.naturalWidth / picture.naturalHeight) - 1) > 0.02;

  // Takes out of `content` what lies below its lower edge and returns it; null where nothing can be taken.
  function cut(content) {
    const blocks = [...content.children].filter((block) => !block.matches(".kicker, .notes"));
    const below = (block) => block.offsetTop + block.offsetHeight > content.clientHeight;
    const first = blocks.findIndex((block) => !block.matches("h1, h2, h3"));
    let at = blocks.findIndex(below);
    if (at < 0 || first < 0) return null;
    const items = blocks[at].matches("ul, ol") ? [...blocks[at].children] : [];
    const fitting = items.findIndex((item) => item.offsetTop + item.offsetHeight > content.clientHeight);
    if (fitting > 0) {
      const list = blocks[at].cloneNode(false);
      if (list.matches("ol")) list.start = blocks[at].start + fitting;
      list.append(...items.slice(fitting));
      blocks.slice(at + 1).forEach((block) => block.remove());
      return [list, ...blocks.slice(at + 1)];
    }
    if (at <= first) at = first + 1;
    while (at - 1 > first && blocks[at - 1].matches("h2, h3")) at -= 1;
    if (at >= blocks.length) return null;
    blocks.slice(at).forEach((block) => block.remove());
    return blocks.slice(at);
  }

  [...deck.children].forEach(fit);
  const slides = [...deck.children];
  slides.forEach((slide, index) => {
    slide.dataset.number = `${index + 1} / ${slides.length}`;
    if (!slide.querySelector(".foot") && index) {
      slide.append(Object.assign(document.createElement("div"), {className: "foot", textContent: deck.dataset.footer}));
    }
  });

  // --- presenting --------------------------------------------------------------------------------------------------
  let current = 0, notes = null;
  const started = Date.now();
  const hidden = () => slides[current].querySelector(".fragment:not(.shown)");

  function show(index, complete) {
    slides[current].classList.remove("current");
    current = Math.max(0, Math.min(slides.length - 1, index));
    slides[current].classList.add("current");
    slides[current].querySelectorAll(".fragment").forEach((one) => one.classList.toggle("shown", complete));
    history.replaceState(null, "", `#${current + 1}`);
    tell();
  }

  function tell() {
    if (!notes || notes.closed) return;
    const words = [...slides[current].querySelectorAll(".notes")].map((one) => one.innerHTML).join("");
    const following = slides[current + 1]?.getAttribute("aria-label") ?? "the end";
    const minutes = Math.round((Date.now() - started) / 60000);
    notes.document.body.innerHTML = `<p>${current + 1} / ${slides.length}, minute ${minutes}</p>${words || "<p>–</p>"}<p>Next: ${following}</p>`;
    notes.document.body.style.font = "22px/1.5 system-ui, sans-serif";
  }

  const forward = () => (hidden() ? hidden().classList.add("shown") : show(current + 1, false));
  const back = () => show(current - 1, true);
  const keys = {
    ArrowRight: forward, ArrowDown: forward, PageDown: forward, " ": forward, Enter: forward,
    ArrowLeft: back, ArrowUp: back, PageUp: back, Backspace: back,
    Home: () => show(0, false), End: () => show(slides.length - 1, true),
    n: () => { notes = open("", "notes", "width=700,height=500"); tell(); },
  };
  addEventListener("keydown", (event) => {
    if (!keys[event.key] || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("summary, a")) return;
    event.preventDefault();
    keys[event.key]();
  });
  addEventListener("click", (event) => {
    if (event.target.closest("a, details")) return;
    if (event.clientX > innerWidth * 0.75) forward();
    if (event.clientX < innerWidth * 0.25) back();
  });
  const scale = () => deck.style.setProperty("--scale", Math.min(innerWidth / 1280, innerHeight / 720));
  addEventListener("resize", scale);
  addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0, true));
  document.body.classList.add("presenting");
  scale();
  show(Number(location.hash.slice(1)) - 1 || 0, false);
});
