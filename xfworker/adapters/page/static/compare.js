// Two results side by side: the viewers show the same place, at the same size, in the same window, unless they are unlinked.
const linked = document.querySelector('#linked');
const pairs = [...document.querySelectorAll('.pair')].map((pair) => [...pair.querySelectorAll('xf-slices')]).filter(([left, right]) => left && right);
const viewers = pairs.flat();

/** Let the second viewer show what the first one shows. */
function align([left, right]) {
  if (!left.isReady || !right.isReady || !linked.checked) return;
  right.moveCross(right.geometry.inside(right.geometry.toVoxel(left.geometry.toMm(left.cross))), true);
  left.look({});
  left.setWindow(left.window);
}

for (const pair of pairs) {
  let isAligned = false;
  for (const viewer of pair) {
    viewer.addEventListener('xf-ready', () => {
      if (isAligned || !pair.every(({ isReady }) => isReady)) return;
      isAligned = true;
      align(pair);
    });
  }
}

linked.addEventListener('change', () => {
  for (const viewer of viewers) {
    if (linked.checked) viewer.setAttribute('group', 'page');
    else viewer.removeAttribute('group');
  }
  pairs.forEach(align);
});

// B minus A, voxel by voxel; made when somebody looks at it.
for (const details of document.querySelectorAll('details.difference')) {
  details.addEventListener('toggle', () => {
    if (!details.open || details.querySelector('xf-slices')) return;
    const viewer = document.createElement('xf-slices');
    for (const name of ['src', 'minus', 'label']) viewer.setAttribute(name, details.dataset[name]);
    details.append(viewer);
  });
}

// Each viewer has a button of its own for this.
const observer = new MutationObserver(() => { linked.checked = viewers.every((viewer) => viewer.hasAttribute('group')); });
for (const viewer of viewers) observer.observe(viewer, { attributes: true, attributeFilter: ['group'] });
