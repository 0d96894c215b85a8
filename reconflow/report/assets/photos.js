// The table of photos: sorted by its heads, narrowed by the buttons and the search field, a page of rows at a time.

const ROWS_AT_FIRST = 60;

class PhotoTable {
  constructor(table) {
    this.body = table.tBodies[0];
    this.heads = [...table.tHead.rows[0].cells];
    this.rows = [...this.body.rows];
    this.status = "all";
    this.text = "";
    this.limit = ROWS_AT_FIRST;
    this.more = document.getElementById("more-rows");
    this.nothing = document.getElementById("no-rows");
    this.names = new Map(this.rows.map((row) => [row, row.querySelector("bdi").textContent.toLowerCase()]));
    this.order = new Intl.Collator(undefined, { numeric: true });
    for (const head of this.heads) {
      head.querySelector("button").addEventListener("click", () => this.sort(head));
    }
    const filters = [...document.querySelectorAll("[data-filter]")];
    for (const button of filters) {
      button.addEventListener("click", () => {
        this.status = button.dataset.filter;
        for (const other of filters) other.setAttribute("aria-pressed", String(other === button));
        this.apply();
      });
    }
    document.getElementById("search").addEventListener("input", (event) => {
      this.text = event.target.value.trim().toLowerCase();
      this.apply();
    });
    this.more.addEventListener("click", () => {
      this.limit = Infinity;
      this.apply();
    });
    this.apply();
  }

  sort(head) {
    const key = head.querySelector("button").dataset.sort;
    const first = key === "name" ? "ascending" : "descending";
    const now = head.getAttribute("aria-sort");
    const next = now === "none" ? first : now === "ascending" ? "descending" : "ascending";
    for (const other of this.heads) other.setAttribute("aria-sort", other === head ? next : "none");
    const column = head.cellIndex;
    const compare = column
      ? (a, b) => Number(a.cells[column].dataset.v) - Number(b.cells[column].dataset.v)
      : (a, b) => this.order.compare(this.names.get(a), this.names.get(b));
    const sign = next === "ascending" ? 1 : -1;
    this.rows.sort((a, b) => sign * compare(a, b) || Number(a.dataset.row) - Number(b.dataset.row));
    this.body.append(...this.rows);
    this.apply();
  }

  apply() {
    let fitting = 0;
    for (const row of this.rows) {
      const fits = (this.status === "all" || row.dataset.status === this.status) && this.names.get(row).includes(this.text);
      fitting += fits;
      row.hidden = !fits || fitting > this.limit;
    }
    this.nothing.hidden = fitting > 0;
    this.more.hidden = fitting <= this.limit;
    this.more.textContent = `Show all ${fitting} photos`;
  }

  mark(photo) {
    for (const row of this.rows) row.classList.toggle("chosen", Number(row.dataset.row) === photo);
  }
}
