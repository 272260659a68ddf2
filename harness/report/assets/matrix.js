// Matrices of many labels have no element for each cell: the pointer's place tells which one is meant.
(function () {
  "use strict";
  const named = (text) => { try { return decodeURIComponent(text); } catch (e) { return text; } };

  document.querySelectorAll("svg .cells").forEach((group) => {
    const data = group.dataset, svg = group.ownerSVGElement;
    const [left, top, side] = data.grid.split(" ").map(Number);
    const rows = data.rows.split(" ");
    const columns = "more" in data ? [...rows, ...data.more.split(" ")] : data.columns.split(" ");
    const counts = new Map(data.counts.split(" ").map((cell) => {
      const [row, column, count] = cell.split(",").map(Number);
      return [row * columns.length + column, count];
    }));
    const told = document.createElementNS(svg.namespaceURI, "title");
    let shown = -1;
    svg.append(told);

    function under(event) {
      const spot = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const row = Math.floor((spot.y - top) / side), column = Math.floor((spot.x - left) / side);
      const inside = row >= 0 && row < rows.length && column >= 0 && column < columns.length;
      return inside && counts.has(row * columns.length + column) ? row * columns.length + column : -1;
    }

    const names = (cell) => [rows[Math.floor(cell / columns.length)], columns[cell % columns.length]];
    const address = (cell) => {
      const pair = cell < 0 ? ["*"] : names(cell);
      return data.arm && !pair.includes("*") ? "#f=" + [data.arm, ...pair].join(":") : "";
    };

    svg.addEventListener("pointermove", (event) => {
      const cell = under(event);
      if (cell === shown) { return; }
      shown = cell;
      const words = cell < 0 ? [] : names(cell).map((name) => (name === "*" ? "…" : named(name) || "–"));
      told.textContent = cell < 0 ? "" : words.join(" → ") + ": " + counts.get(cell);
      svg.style.cursor = address(cell) && document.querySelector(".explorer") ? "pointer" : "";
    });
    svg.addEventListener("click", (event) => {
      const where = address(under(event));
      if (where && document.querySelector(".explorer")) { location.hash = where; }
    });
  });
})();
