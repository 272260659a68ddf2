(function () {
  "use strict";
  var root = document.documentElement, button = document.getElementById("theme"), kept = null;
  try { kept = localStorage.getItem("theme"); } catch (e) { kept = null; }
  if (kept === "light" || kept === "dark") { root.setAttribute("data-theme", kept); }
  if (button) {
    button.hidden = false;
    button.addEventListener("click", function () {
      var now = root.getAttribute("data-theme") ||
        (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
      var next = now === "dark" ? "light" : "dark";
      root.setAttribute("data-theme", next);
      try { localStorage.setItem("theme", next); } catch (e) { /* a sandboxed page keeps nothing */ }
    });
  }
  // What scrolls must be reachable by keyboard; what does not scroll must not cost a tab stop.
  function reach() {
    document.querySelectorAll(".scroll, pre").forEach(function (box) {
      var scrolls = box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1;
      if (scrolls) { box.setAttribute("tabindex", "0"); } else { box.removeAttribute("tabindex"); }
    });
  }
  reach();
  addEventListener("resize", reach);
  document.addEventListener("toggle", reach, true);
  // Links to single answers lead nowhere where a page holds none.
  if (!document.querySelector(".explorer")) {
    document.querySelectorAll('a[href^="#f="]').forEach(function (a) { a.removeAttribute("href"); });
  }
  var links = {};
  document.querySelectorAll(".bar nav a").forEach(function (a) { links[a.getAttribute("href").slice(1)] = a; });
  if ("IntersectionObserver" in window) {
    var watch = new IntersectionObserver(function (seen) {
      seen.forEach(function (entry) {
        if (!entry.isIntersecting || !links[entry.target.id]) { return; }
        Object.keys(links).forEach(function (id) {
          links[id].classList.toggle("here", id === entry.target.id);
          if (id === entry.target.id) { links[id].setAttribute("aria-current", "true"); }
          else { links[id].removeAttribute("aria-current"); }
        });
      });
    }, { rootMargin: "-20% 0px -70% 0px" });
    document.querySelectorAll("main section[id]").forEach(function (s) { watch.observe(s); });
  }
})();
