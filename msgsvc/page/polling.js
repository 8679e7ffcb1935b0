// Polling: every 15 seconds while the page is visible, never while it is hidden, at once on return, slower on errors.
const INTERVAL = 15_000;
const LONGEST = 4 * 60_000;

let timer = 0;
let work = null;
let report;
let failures;
let running;

// `ask` throws what went wrong; `told` hears of each time: the error or null, and when the next one is.
export function start(ask, told) {
  [work, report, failures, running] = [ask, told, 0, false];
  schedule(INTERVAL);
}

export function stop() {
  work = null;
  clearTimeout(timer);
}

export async function poll() {
  clearTimeout(timer);
  if (!work || running || document.hidden) return;
  const mine = work;
  let error = null;
  running = true;
  try {
    await work();
    failures = 0;
  } catch (refusal) {
    error = refusal;
    failures += 1;
  }
  if (mine !== work) return;
  running = false;
  const wait = Math.max(Math.min(INTERVAL * 2 ** Math.max(0, failures - 1), LONGEST), (error?.retryAt || 0) - Date.now());
  schedule(wait);
  report(error, Date.now() + wait);
}

function schedule(wait) {
  clearTimeout(timer);
  if (work && !document.hidden) timer = setTimeout(poll, wait);
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : poll()));
addEventListener('online', poll);
