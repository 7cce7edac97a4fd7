// Names and keyboard access for what the theme leaves without, also for what it adds later.
function complete() {
  document.querySelector(".md-search")?.setAttribute("aria-label", "Search");
  for (const buttons of document.querySelectorAll(".md-code__nav")) buttons.setAttribute("role", "presentation");
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, pre > code")) {
    if (wide.scrollWidth > wide.clientWidth) wide.tabIndex = 0;
  }
}

window.addEventListener("load", () => {
  complete();
  new MutationObserver(complete).observe(document.querySelector(".md-content"), { childList: true, subtree: true });
});
