// The little that the browser must do by itself. No library, nothing from elsewhere.
(() => {
  const THEME = "frontdesk.theme";
  const storage = {
    get: () => { try { return localStorage.getItem(THEME); } catch { return null; } },
    set: (mode) => { try { localStorage.setItem(THEME, mode); } catch { /* private window */ } },
  };
  const addressed = (mode) => {
    const address = new URL(location.href);
    address.searchParams.set("__theme", mode);
    history.replaceState(null, "", address);
  };

  // Before Gradio starts: a theme chosen earlier wins over the system's, the address over both.
  if (storage.get() && !new URL(location.href).searchParams.has("__theme")) addressed(storage.get());

  // Gradio names thumbs and thread in English only; the second of the two thumbs is the good one.
  const ours = new WeakMap();
  function rename(node, label) {
    const found = node.getAttribute("aria-label");
    if (found !== ours.get(node) && node.tagName === "BUTTON") {
      node.setAttribute("aria-pressed", /^(Dis)?[Ll]iked$/.test(found));
    }
    if (found === label) return;
    ours.set(node, label);
    node.setAttribute("aria-label", label);
    if (node.hasAttribute("title")) node.setAttribute("title", label);
  }
  function nameThread() {
    const words = window.frontdesk.words;
    const log = document.querySelector('#thread [role="log"]');
    if (!words || !log) return;
    rename(log, words.log);
    // Each new word replaces the bubble, which would be read out again; #spoken says it once, whole.
    if (log.getAttribute("aria-live") !== "off") log.setAttribute("aria-live", "off");
    // A live region must be there before its words are.
    const spoken = document.querySelector("#spoken");
    if (spoken && spoken.getAttribute("role") !== "status") {
      spoken.setAttribute("role", "status");
      spoken.setAttribute("aria-live", "polite");
    }
    // Gradio's name of a bubble is its markup, read out.
    for (const bubble of log.querySelectorAll("[data-testid=bot], [data-testid=user]")) {
      if (bubble.getAttribute("role") !== "group") bubble.setAttribute("role", "group");
      rename(bubble, bubble.dataset.testid === "bot" ? words.answered : words.asked);
    }
    // The server has the question: what stood in for it goes.
    if (log.querySelector("[data-testid=bot] .typing")) unecho();
    // A list may not hold buttons, says ARIA; Gradio's quick starts do.
    document.querySelector("#thread .examples[role=list]")?.setAttribute("role", "group");
    for (const pair of log.querySelectorAll(".message-buttons-left")) {
      const [bad, good] = pair.querySelectorAll("button");
      if (bad && good) { rename(bad, words.dislike); rename(good, words.like); }
    }
  }
  new MutationObserver(nameThread).observe(document, {
    childList: true, subtree: true, attributes: true, attributeFilter: ["aria-label"],
  });

  // Gradio says in English only that the server is away; it loads the page anew when it is back.
  new MutationObserver(() => {
    const words = window.frontdesk.words?.lost;
    for (const node of words ? document.querySelectorAll(".toast-messages *") : []) {
      if (!node.childElementCount && node.textContent.startsWith("Connection to the server was lost")) {
        node.textContent = words;
      }
    }
  }).observe(document, { childList: true, subtree: true });

  const theme = () => (document.body.classList.contains("dark") ? "dark" : "light");

  // A report is a page of its own in a frame without script; the frame is as high as the report.
  document.addEventListener("load", ({ target }) => {
    if (!target.matches?.("iframe.paper")) return;
    const { body, documentElement } = target.contentDocument;
    documentElement.className = theme();
    const fit = () => { target.style.height = `${body.offsetHeight + 2}px`; };
    new ResizeObserver(fit).observe(body);
  }, true);

  const box = () => document.querySelector("#question textarea");
  const setBox = (words) => {
    box().value = words;
    box().dispatchEvent(new Event("input", { bubbles: true }));
  };

  // The draft is this tab's: kept over a reload, gone once the question is stored.
  const DRAFT = "frontdesk.draft";
  const draft = {
    keep: () => { try { sessionStorage.setItem(DRAFT, box()?.value ?? ""); } catch { /* full */ } },
    back: () => {
      let kept = null;
      try { kept = sessionStorage.getItem(DRAFT); } catch { /* private window */ }
      if (kept && box() && !box().value) setBox(kept);
    },
  };
  addEventListener("input", ({ target }) => { if (target === box()) draft.keep(); });

  // The question as it was sent, and moving dots, until the server has taken it.
  function echo(question) {
    unecho();
    const log = document.querySelector('#thread [role="log"]');
    if (!log) return;
    const node = document.createElement("div");
    node.className = "echo";
    const dots = document.createElement("span");
    dots.className = "typing";
    dots.append(...["i", "i", "i"].map((tag) => document.createElement(tag)));
    if (question) {
      const said = document.createElement("span");
      said.className = "said";
      said.textContent = question;
      node.append(said);
    }
    node.append(dots);
    log.append(node);
    log.scrollTop = log.scrollHeight;
  }
  const unecho = () => document.querySelector("#thread .echo")?.remove();

  const lines = (node) => [...node.querySelectorAll(".line")].map((line) => {
    const copy = line.cloneNode(true);
    for (const mark of copy.querySelectorAll(".cite")) mark.remove();
    return copy.textContent;
  }).join("\n");

  let edited = null;
  function edit(id, words) {
    edited = id;
    document.querySelector("#talk")?.classList.toggle("editing", id !== null);
    if (words !== undefined) setBox(words);
    box()?.focus();
  }

  const actions = {
    cite(button) {
      const sources = button.closest(".message-content").querySelectorAll("details.source");
      const source = sources[Number(button.value) - 1];
      if (!source) return;
      source.open = true;
      source.querySelector("summary").focus();
      source.scrollIntoView({ block: "nearest" });
    },
    copy(button) {
      const label = button.textContent;
      navigator.clipboard?.writeText(lines(button.closest(".message-content"))).then(() => {
        button.textContent = window.frontdesk.words.copied;
        setTimeout(() => { button.textContent = label; }, 1500);
      });
    },
    edit(button) { edit(button.value, lines(button.closest(".message-content"))); },
    unedit() { edit(null, ""); },
    retry(button) {
      window.frontdesk.picked = button.value;
      document.querySelector("button#retry")?.click();
    },
  };
  addEventListener("click", (event) => {
    const button = event.target.closest?.("button.act, button.cite");
    if (button) actions[button.name]?.(button);
    if (event.target.closest?.("a.skip")) {
      event.preventDefault();
      box()?.focus();
    }
  });

  addEventListener("keydown", (event) => {
    if (event.isComposing) return;
    if (event.key === "Escape") {
      const stop = document.querySelector("button#stop");
      if (stop) stop.click();
      else if (edited !== null) actions.unedit();
    }
    if (event.key === "ArrowUp" && event.target === box() && !box().value) {
      const last = [...document.querySelectorAll("#thread button.edit")].pop();
      if (last) { event.preventDefault(); last.click(); }
    }
  });

  window.frontdesk = {
    words: null,
    say(words) {
      this.words = words;
      document.documentElement.lang = words.lang;
      document.title = words.title;
      nameThread();
      draft.back();
    },
    toggleTheme() {
      document.body.classList.toggle("dark");
      const mode = theme();
      for (const paper of document.querySelectorAll("iframe.paper")) {
        paper.contentDocument.documentElement.className = mode;
      }
      storage.set(mode);
      addressed(mode);
    },
    focusCorrection() {
      const box = document.querySelector("#correction input");
      box?.closest("#correction").scrollIntoView({ block: "nearest" });
      if (matchMedia("(hover: hover)").matches) box?.focus({ preventScroll: true });
    },
    picked: null,
    editing: () => edited,
    // What is sent: over the bound it is refused, saying how long it is; a megabyte is not sent.
    sending(typed, bound) {
      const question = typed?.trim();
      document.querySelector("#talk")?.classList.add("sending");
      if (typed === undefined || (question && typed.length <= bound)) echo(question);
      return typed?.slice(0, Math.max(bound + 1, 50000));
    },
    // What is kept of the visitor, as a file; once saved, the page forgets it.
    save(data) {
      if (!data) return null;
      const file = new Blob([JSON.stringify(data, null, 2)], { type: "application/json" });
      const link = document.createElement("a");
      link.href = URL.createObjectURL(file);
      link.download = "my-data.json";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      return null;
    },
    focus(selector) { document.querySelector(selector)?.focus(); },
    focusQuestion() {
      document.querySelector("#talk")?.classList.remove("sending");
      unecho();
      // The box is empty where the question was taken; refused, it is still being edited.
      const last = [...document.querySelectorAll("#thread button.edit")].pop();
      if (edited !== null && (!box()?.value || last?.value !== edited)) edit(null);
      draft.keep();
      // Not on a phone, where focus would raise the keyboard over the answer.
      if (matchMedia("(hover: hover)").matches) box()?.focus();
    },
  };
})();
