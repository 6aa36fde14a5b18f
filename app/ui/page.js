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

  const theme = () => (document.body.classList.contains("dark") ? "dark" : "light");

  // A report is a page of its own in a frame without script; the frame is as high as the report.
  document.addEventListener("load", ({ target }) => {
    if (!target.matches?.("iframe.paper")) return;
    const { body, documentElement } = target.contentDocument;
    documentElement.className = theme();
    const fit = () => { target.style.height = `${body.offsetHeight + 2}px`; };
    new ResizeObserver(fit).observe(body);
  }, true);

  addEventListener("keydown", (event) => {
    if (event.key === "Escape") document.querySelector("button#stop")?.click();
  });

  window.frontdesk = {
    words: null,
    say(words) {
      this.words = words;
      document.documentElement.lang = words.lang;
      document.title = words.title;
      nameThread();
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
      const box = document.querySelector("#correction textarea");
      box?.closest("#correction").scrollIntoView({ block: "nearest" });
      if (matchMedia("(hover: hover)").matches) box?.focus({ preventScroll: true });
    },
    sending(now) {
      document.querySelector("#talk")?.classList.toggle("sending", now);
    },
    focusQuestion() {
      this.sending(false);
      // Not on a phone, where focus would raise the keyboard over the answer.
      if (matchMedia("(hover: hover)").matches) document.querySelector("#question textarea")?.focus();
    },
  };
})();
