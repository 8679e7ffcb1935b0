// The end of a session: the warning two minutes before the idle limit, the banner before the absolute one.
import { call, embedded, events, idleSeconds, lastUse, now } from './api.js';
import { announce, banner, button, count, dialog, h, note, retitle, say } from './dom.js';
import { me } from './session.js';
import { T } from './texts.js';
import { clock } from './times.js';

const IDLE = idleSeconds * 1000;
const WARNING = Math.min(120_000, IDLE / 2);
const BANNER = 5 * 60_000;

let timer = 0;
let box = null;
let saidLastMinute = false;
let logout = null;

/** Watches the session that has begun. `onlogout` is what the button Log out does. */
export function watch(onlogout) {
  if (embedded) return;
  logout = onlogout;
  stop();
  timer = setInterval(check, 1000);
}

export function stop() {
  clearInterval(timer);
  closeWarning();
  banner('limit', null);
}

function closeWarning() {
  box?.close();
  box = null;
  retitle({ soon: false });
}

function check() {
  const left = lastUse() + IDLE - now();
  const leftAtMost = me.expiresAt - now();
  if (left <= 0 || leftAtMost <= 0) return events.dispatchEvent(new CustomEvent('ended', { detail: left <= 0 ? 'idle' : '' }));
  if (leftAtMost <= BANNER && !document.querySelector('[data-name=limit]')) {
    banner('limit', note('warn', '', say(T.twelveHours, { time: clock(Date.now() + leftAtMost) }), { role: 'status' }));
  }
  if (left > WARNING) {
    if (box) closeWarning();
  } else if (!box) warn(left);
  else if (left <= 60_000 && !saidLastMinute) {
    saidLastMinute = true;
    announce('1 minute left');
  }
}

function warn(left) {
  saidLastMinute = left <= 60_000;
  const minutes = Math.max(1, Math.round(left / 60_000));
  const text = say(T.stillHereText, {
    n: Math.round((IDLE - left) / 60_000), time: clock(Date.now() + left), left: count(minutes, 'minute', 'minutes'),
  });
  box = dialog(T.stillHere, h('p', {}, text), [
    button(T.stay, () => box.close(), 'primary', { autofocus: true }),
    button(T.logout, () => { closeWarning(); logout(); }),
  ]);
  box.addEventListener('close', () => { if (box) stay(); });
  retitle({ soon: true });
}

async function stay() {
  box = null;
  retitle({ soon: false });
  await call('GET', '/session').catch(() => {});
}

/** Somebody who writes or scrolls without a call is here: tells the service now and then. */
for (const sign of ['keydown', 'pointerdown', 'wheel']) {
  addEventListener(sign, () => {
    if (timer && me.username && !box && now() - lastUse() > IDLE / 6) call('GET', '/session').catch(() => {});
  }, { passive: true });
}
