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
  // The sections are one tab stop, and arrow keys go from one to the next: a toolbar, as screen readers call it.
  var bar = document.querySelector(".bar .links"), stops = bar ? Array.from(bar.children) : [];
  function stop(at) { stops.forEach(function (a, n) { a.tabIndex = n === at ? 0 : -1; }); }
  if (stops.length > 1) {
    bar.setAttribute("role", "toolbar");
    bar.setAttribute("aria-label", bar.parentElement.getAttribute("aria-label"));
    stop(0);
    bar.addEventListener("focusin", function (event) { stop(stops.indexOf(event.target)); });
    bar.addEventListener("keydown", function (event) {
      var at = stops.indexOf(event.target), last = stops.length - 1;
      var to = { ArrowRight: at < last ? at + 1 : 0, ArrowLeft: at > 0 ? at - 1 : last, Home: 0, End: last }[event.key];
      if (at < 0 || to === undefined || event.altKey || event.ctrlKey || event.metaKey) { return; }
      event.preventDefault();
      stops[to].focus();
    });
  }
  var links = {};
  document.querySelectorAll(".bar nav a").forEach(function (a) { links[a.getAttribute("href").slice(1)] = a; });
  if ("IntersectionObserver" in window) {
    var watch = new IntersectionObserver(function (seen) {
      seen.forEach(function (entry) {
        if (!entry.isIntersecting || !links[entry.target.id]) { return; }
        Object.keys(links).forEach(function (id) {
          links[id].classList.toggle("here", id === entry.target.id);
          if (id === entry.target.id) {
            links[id].setAttribute("aria-current", "true");
            if (bar) { bar.scrollLeft = links[id].offsetLeft - bar.offsetLeft - bar.clientWidth / 2; }
          }
          else { links[id].removeAttribute("aria-current"); }
        });
      });
    }, { rootMargin: "-20% 0px -70% 0px" });
    document.querySelectorAll("main section[id]").forEach(function (s) { watch.observe(s); });
  }
})();
