(function () {
  "use strict";
  var table = document.querySelector("table.sortable");
  if (!table) { return; }
  var heads = Array.prototype.slice.call(table.tHead.rows[0].cells), body = table.tBodies[0];
  function value(row, n) { var c = row.cells[n]; return c.getAttribute("data-v") || c.textContent.trim(); }
  heads.forEach(function (head, n) {
    var button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    head.textContent = "";
    head.appendChild(button);
    button.addEventListener("click", function () {
      var down = head.getAttribute("aria-sort") === "ascending", sign = down ? -1 : 1;
      heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      var rows = Array.prototype.slice.call(body.rows);
      rows.sort(function (a, b) {
        var x = value(a, n), y = value(b, n);
        return sign * (head.classList.contains("n") ? Number(x) - Number(y) : x.localeCompare(y));
      });
      rows.forEach(function (row) { body.appendChild(row); });
    });
  });
})();
