// Foreground against the nearest painted background, as WCAG counts it: the three worst words.
(root) => {
  const numbers = (colour) => (colour.match(/[\d.]+/g) || []).map(Number);
  const linear = (v) => (v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  const luminance = ([r, g, b]) => 0.2126 * linear(r) + 0.7152 * linear(g) + 0.0722 * linear(b);
  const behind = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = numbers(getComputedStyle(n).backgroundColor);
      if (c.length === 3 || c[3] > 0.99) return c;
    }
    return [255, 255, 255];
  };
  const said = (node) => [...node.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
  const found = [];
  for (const node of root.querySelectorAll("*")) {
    if (!said(node) || !node.getClientRects().length || node.closest("svg, .hidden, style")) continue;
    const style = getComputedStyle(node);
    // A tint that is mixed from two colours is not painted flat; the faint are so on purpose.
    if (style.backgroundColor.startsWith("color") || Number(style.opacity) < 1) continue;
    const [light, dark] = [luminance(numbers(style.color)), luminance(behind(node))].sort((x, y) => y - x);
    found.push([(light + 0.05) / (dark + 0.05), node.textContent.trim().slice(0, 30)]);
  }
  return found.sort((x, y) => x[0] - y[0]).slice(0, 3);
}
