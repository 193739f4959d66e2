// A task that is appended to a job: a fixed value is asked for where one is chosen.
for (const select of document.querySelectorAll('[data-fixed]')) {
  const fixed = document.getElementById(select.dataset.fixed);
  const show = () => { fixed.hidden = select.value !== 'fixed'; };
  select.addEventListener('change', () => { show(); if (!fixed.hidden) fixed.focus(); });
  show();
}
