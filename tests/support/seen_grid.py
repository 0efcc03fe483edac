"""What is seen of the grid of photos in a browser."""

from typing import Any

from .browser import until

# Cells in sight: number of the photo whose picture is there, or 0; where it stands; what is heard.
SEEN = """(() => {
  const box = document.querySelector(".grid")?.getBoundingClientRect();
  if (!box) return [];
  return [...document.querySelectorAll(".cell:not([hidden])")].filter((cell) => {
    const own = cell.getBoundingClientRect();
    return own.height && own.bottom > box.top + 1 && own.top < box.bottom - 1;
  }).map((cell) => {
    const picture = cell.querySelector("img");
    const [, id] = /thumb.(\\d+)/.exec(picture.getAttribute("src") ?? "") ?? [];
    return {
      id: Number(id ?? 0), isHere: Boolean(id) && picture.complete && picture.naturalWidth > 0,
      row: Number(cell.parentNode.getAttribute("aria-rowindex")),
      column: Number(cell.getAttribute("aria-colindex")),
      top: cell.getBoundingClientRect().top - box.top, alt: picture.alt,
    };
  });
})()"""


def rest(page: Any) -> list[dict[str, Any]]:
    """What is seen once every picture in sight is here."""
    done = f"((seen) => seen.length > 0 && seen.every((one) => one.isHere) && seen)({SEEN})"
    seen: list[dict[str, Any]] = until(page, done)
    return sorted(seen, key=lambda one: (one["row"], one["column"]))
