(function () {
  "use strict";
  const table = document.querySelector("table.sortable");
  if (!table) { return; }
  const heads = Array.from(table.tHead.rows[0].cells), body = table.tBodies[0];
  const select = document.getElementById("sort"), phone = window.matchMedia("(max-width: 760px)");
  const buttons = [];

  function value(row, n) {
    const cell = row.cells[n];
    return cell.hasAttribute("data-v") ? cell.getAttribute("data-v") : cell.textContent.trim();
  }
  // What has no value comes last, whichever way the rest is sorted
  function order(x, y, numeric, sign) {
    if (x === "" || y === "") { return (x === "") - (y === ""); }
    return sign * (numeric ? Number(x) - Number(y) : x.localeCompare(y));
  }
  function sort(n, direction) {
    const head = heads[n], numeric = head.classList.contains("n"), sign = direction === "descending" ? -1 : 1;
    heads.forEach((other) => { other.removeAttribute("aria-sort"); });
    head.setAttribute("aria-sort", direction);
    Array.from(body.rows).map((row) => [value(row, n), row])
      .sort((a, b) => order(a[0], b[0], numeric, sign))
      .forEach((pair) => { body.appendChild(pair[1]); });
    select.value = n + " " + direction;
  }
  function fit() { buttons.forEach((button) => { button.tabIndex = phone.matches ? -1 : 0; }); }

  heads.forEach((head, n) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    button.addEventListener("click", () => {
      sort(n, head.getAttribute("aria-sort") === "ascending" ? "descending" : "ascending");
    });
    buttons.push(button);
    for (const [direction, sign] of [["ascending", "↑"], ["descending", "↓"]]) {
      const option = document.createElement("option");
      option.value = n + " " + direction;
      option.textContent = head.textContent + " " + sign;
      option.selected = head.getAttribute("aria-sort") === direction;
      select.appendChild(option);
    }
    head.textContent = "";
    head.appendChild(button);
  });
  select.addEventListener("change", () => {
    const chosen = select.value.split(" ");
    sort(Number(chosen[0]), chosen[1]);
  });
  select.parentElement.hidden = false;
  phone.addEventListener("change", fit);
  fit();
})();
