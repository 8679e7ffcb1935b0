// Who is logged in, and when the session ends: the warning before the idle limit, the banner before the absolute one.
// Standalone, the token is kept in this tab's sessionStorage; embedded, the host knows.
import { actAs, call, embedded, emit, events, idleMilliseconds, lastUse, localTime } from './api.js';
import { announce, banner, button, dialog, find, h, note, retitle, safe } from './dom.js';
import * as drafts from './drafts.js';
import { clock, count, isRole } from './words.js';

const KEY = 'msgsvc.session';
const WARNING = Math.min(120_000, idleMilliseconds / 2);
const BANNER = 5 * 60_000;

export const me = {};
export const isAdmin = () => me.role === 'admin';
export const isPatient = () => me.role === 'user';
export const mayWrite = () => isRole(me.role);

let timer = 0;
let box = null;

// Without storage the session lives until the next reload.
function stored(change) {
  try {
    change?.(sessionStorage);
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function begin({ username, role, must_change_password: mustChange, expires_at: expires }, typed) {
  Object.assign(me, { username, role, mustChange, typed, expiresAt: localTime(expires) });
  drafts.own(username);
}

// Goes on with the session of this tab; without one nobody is logged in. Throws where nobody can tell.
export async function restore() {
  if (!embedded) actAs(stored());
  if (embedded || stored()) begin(await call('GET', '/session'));
}

// Embedded: whether the host still says the same person.
export async function isStillMe() {
  const { username, role } = await call('GET', '/session', { background: true });
  return username === me.username && role === me.role;
}

export async function login(username, password) {
  actAs('');
  const account = await call('POST', '/auth/login', { body: { username, password } });
  stored((storage) => storage.setItem(KEY, account.token));
  actAs(account.token);
  begin(account, password);
}

export async function changePassword(current, chosen) {
  await call('PUT', '/auth/password', { body: { current_password: current, new_password: chosen } });
  Object.assign(me, { mustChange: false, typed: '' });
}

// Forgets the session here; the drafts wait for the same person.
export function leave() {
  for (const name of Object.keys(me)) delete me[name];
  actAs('');
  stored((storage) => storage.removeItem(KEY));
  drafts.leave();
}

// Leaves nothing in this tab; settles when the service has ended the session.
export function logout(everywhere) {
  const ending = call('POST', everywhere ? '/auth/logout-all' : '/auth/logout', { keepalive: true });
  leave();
  drafts.wipe();
  return ending;
}

export function watch(onlogout) {
  unwatch();
  me.typed = '';
  if (!embedded) timer = setInterval(check, 1000, onlogout);
}

export function unwatch() {
  clearInterval(timer);
  timer = 0;
  closeWarning();
  banner('limit');
}

function closeWarning() {
  const closing = box;
  box = null;
  closing?.close();
  retitle({ soon: false });
}

function check(onlogout) {
  const idleLeft = lastUse() + idleMilliseconds - Date.now();
  const left = me.expiresAt - Date.now();
  if (idleLeft <= 0 || left <= 0) return emit(events, 'ended', idleLeft <= 0 ? 'idle' : 'expired');
  if (left <= BANNER && !find('.limit', document)) {
    banner('limit', note('warn', '', `At ${clock(Date.now() + left)} you have to log in again; that is so once a day. What you write is kept in this tab.`, 'status'));
  }
  if (idleLeft > WARNING) return box && closeWarning();
  if (!box) warn(idleLeft, onlogout);
  else if (idleLeft <= 60_000 && !box.said) {
    box.said = true;
    announce('1 minute left');
  }
  return null;
}

function warn(left, onlogout) {
  const minutes = Math.max(1, Math.round(left / 60_000));
  const text = `Nothing has happened here for ${Math.round((idleMilliseconds - left) / 60_000)} minutes. To keep your messages private, you are logged out at ${clock(Date.now() + left)}, in ${count(minutes, 'minute')}. What you are writing is kept in this tab.`;
  box = dialog('Are you still here?', h('p', text), button('Stay logged in', () => box.close(), 'primary', safe),
    button('Log out', () => { closeWarning(); onlogout(); }));
  box.said = left <= 60_000;
  box.addEventListener('close', () => {
    if (!box) return;
    closeWarning();
    prolong();
  });
  retitle({ soon: true });
}

const prolong = () => call('GET', '/session').catch(() => {});

// Somebody who writes or scrolls without a call is here: tells the service now and then.
for (const sign of ['keydown', 'pointerdown', 'wheel']) {
  addEventListener(sign, () => timer && !box && Date.now() - lastUse() > idleMilliseconds / 6 && prolong(), { passive: true });
}
