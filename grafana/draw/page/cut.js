// SPDX-License-Identifier: MIT
// Which text of an element a reader cannot read to its end, and what lies beside the edge.

const SLACK = 1.5;

// The narrowest of the ancestors that hide what is wider than they are.
function room(element, outermost) {
  let { left, right } = outermost.getBoundingClientRect();
  for (let at = element; at !== outermost.parentElement; at = at.parentElement) {
    if (getComputedStyle(at).overflowX !== 'visible') {
      const box = at.getBoundingClientRect();
      left = Math.max(left, box.left);
      right = Math.min(right, box.right);
    }
  }
  return { left, right };
}

export function cutTexts(panel) {
  const cut = [];
  const walker = document.createTreeWalker(panel, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || getComputedStyle(element).visibility === 'hidden' || element.closest('style, svg')) {
      continue;
    }
    const range = document.createRange();
    range.selectNodeContents(node);
    const { left, right } = room(element, panel);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0);
    if (boxes.some((box) => box.left < left - SLACK || box.right > right + SLACK)) {
      cut.push(node.data.trim());
    }
  }
  return cut;
}
