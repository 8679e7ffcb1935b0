// Who is logged in. Standalone, the token is kept in this tab's sessionStorage; embedded, the host knows.
import { actAs, call, embedded } from './api.js';
import * as drafts from './drafts.js';
import { isRole } from './texts.js';

const KEY = 'msgsvc.session';
const NOBODY = { username: null, role: null, mustChange: false, expiresAt: 0, typedPassword: '' };

export const me = { ...NOBODY };
export const isAdmin = () => me.role === 'admin';
export const isPatient = () => me.role === 'user';
export const mayWrite = () => isRole(me.role);

function store(token) {
  try {
    if (token) sessionStorage.setItem(KEY, token);
    else sessionStorage.removeItem(KEY);
  } catch { /* Without storage the session lives until the next reload. */ }
}

function stored() {
  try {
    return sessionStorage.getItem(KEY) ?? '';
  } catch {
    return '';
  }
}

function begin(account) {
  const { username, role, must_change_password: mustChange = false, expires_at: expiresAt } = account;
  Object.assign(me, { username, role, mustChange, expiresAt: Date.parse(expiresAt) || Infinity });
  drafts.own(username);
}

/** Goes on with the session of this tab. False where there is none; raises Refusal where nobody can tell. */
export async function restore() {
  if (!embedded) {
    if (!stored()) return false;
    actAs(stored());
  }
  begin(await call('GET', '/session'));
  return true;
}

/** Embedded: whether the host still says the same person. */
export async function isStillMe() {
  const { username, role } = await call('GET', '/session', { background: true });
  return username === me.username && role === me.role;
}

/** Raises Refusal. */
export async function login(username, password) {
  actAs('');
  const account = await call('POST', '/auth/login', { body: { username, password } });
  store(account.token);
  actAs(account.token);
  begin(account);
  if (me.mustChange) me.typedPassword = password;
}

/** Raises Refusal. */
export async function changePassword(current, chosen) {
  await call('PUT', '/auth/password', { body: { current_password: current, new_password: chosen } });
  Object.assign(me, { mustChange: false, typedPassword: '' });
}

/** Forgets the session here; the drafts wait for the same person. */
export function leave() {
  Object.assign(me, NOBODY);
  actAs('');
  store('');
  drafts.leave();
}

/** Leaves nothing in this tab. Settles when the service has ended the session; raises Refusal where it could not. */
export function logout(everywhere) {
  const ending = call('POST', everywhere ? '/auth/logout-all' : '/auth/logout', { keepalive: true });
  leave();
  drafts.wipe();
  return ending;
}
