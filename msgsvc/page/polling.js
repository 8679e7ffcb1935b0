// Polling: every 15 seconds while the page is visible, never while it is hidden, at once on return, slower on errors.
const INTERVAL = 15_000;
const LONGEST = 4 * 60_000;

let timer = 0;
let tick = null;
let failures = 0;
let running = false;
let onstate = () => {};

/** `work` asks the service and raises what went wrong; `report` is told after each time: null, or the error and the next time. */
export function start(work, report) {
  tick = work;
  onstate = report;
  failures = 0;
  schedule(INTERVAL);
}

export function stop() {
  tick = null;
  running = false;
  clearTimeout(timer);
}

/** Asks now. */
export async function poll() {
  clearTimeout(timer);
  if (!tick || running || document.hidden) return;
  const work = tick;
  running = true;
  let error = null;
  try {
    await work();
    failures = 0;
  } catch (refusal) {
    error = refusal;
    failures += 1;
  }
  if (work !== tick) return;
  running = false;
  const backoff = Math.min(INTERVAL * 2 ** Math.max(0, failures - 1), LONGEST);
  const wait = Math.max(backoff, (error?.retryAt ?? 0) - Date.now());
  schedule(wait);
  onstate(error, Date.now() + wait);
}

function schedule(wait) {
  clearTimeout(timer);
  if (tick && !document.hidden) timer = setTimeout(poll, wait);
}

document.addEventListener('visibilitychange', () => (document.hidden ? clearTimeout(timer) : poll()));
addEventListener('online', poll);
