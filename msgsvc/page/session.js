// Who is logged in: the login page, the account menu, the password, the people blocked, and when the session ends.
// Standalone, the token is kept in this tab's sessionStorage; embedded, the host knows.
import { actAs, call, embedded, emit, idleMilliseconds, kept, lastUse, leaveDrafts, localTime, ownDrafts, path, wipeDrafts } from './service.js';
import {
  alert, announce, banner, bdi, button, byId, clock, count, dialog, field, find, form, formDialog, fullDate, h, isRole,
  menu, nameInput, note, passwordInput, retitle, roleName, rowButton, safe, say, serviceAway, shown, showTyped, sorry,
  tell, unseen,
} from './dom.js';

const KEY = 'msgsvc.session';
const WARNING = Math.min(120_000, idleMilliseconds / 2);
const BANNER = 5 * 60_000;

export let me = {};
export const isAdmin = () => me.role === 'admin';
export const isPatient = () => me.role === 'user';
export const mayWrite = () => isRole(me.role);

let timer = 0;
let box = null;

function begin(account, typed) {
  me = { ...account, typed };
  ownDrafts(me.username);
}

// Goes on with the session of this tab; without one nobody is logged in. Throws where nobody can tell. `meanwhile` asks
// for what is shown first, before the service has said whose session it is.
export async function restore(meanwhile) {
  const token = kept(KEY);
  if (!embedded) actAs(token);
  if (!embedded && !token) return;
  const account = call('GET', '/session');
  meanwhile();
  begin(await account);
  // What was asked meanwhile is refused.
  if (me.must_change_password) actAs(token);
}

// Embedded: whether the host still says the same person.
export async function isStillMe() {
  const { username, role } = await call('GET', '/session', { background: true });
  return username === me.username && role === me.role;
}

export async function login(username, password) {
  actAs('');
  const account = await call('POST', '/auth/login', { body: { username, password } });
  kept(KEY, account.token);
  actAs(account.token);
  begin(account, password);
}

async function changePassword(current, chosen) {
  await call('PUT', '/auth/password', { body: { current_password: current, new_password: chosen } });
  Object.assign(me, { must_change_password: false, typed: '' });
}

// Forgets the session here; the drafts wait for the same person.
export function leave() {
  me = {};
  actAs('');
  kept(KEY, null);
  leaveDrafts();
}

// Leaves nothing in this tab; settles when the service has ended the session.
export function logout(everywhere) {
  const ending = call('POST', everywhere ? '/auth/logout-all' : '/auth/logout', { keepalive: true });
  leave();
  wipeDrafts();
  return ending;
}

export function watch() {
  unwatch();
  me.typed = '';
  if (!embedded) timer = setInterval(check, 1000);
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

function check() {
  const idleLeft = lastUse() + idleMilliseconds - Date.now();
  const left = localTime(me.expires_at) - Date.now();
  if (idleLeft <= 0 || left <= 0) return emit('ended', idleLeft <= 0 ? 'idle' : 'expired');
  if (left <= BANNER && !find('.limit', document)) {
    banner('limit', note('warn', '', `At ${clock(Date.now() + left)} you have to log in again; that is so once a day. What you write is kept in this tab.`, 'status'));
  }
  if (idleLeft > WARNING) return box && closeWarning();
  if (!box) warn(idleLeft);
  else if (idleLeft <= 60_000 && !box.said) {
    box.said = true;
    announce('1 minute left');
  }
  return null;
}

function warn(left) {
  const minutes = Math.max(1, Math.round(left / 60_000));
  const text = `Nothing has happened here for ${Math.round((idleMilliseconds - left) / 60_000)} minutes. To keep your messages private, you are logged out at ${clock(Date.now() + left)}, in ${count(minutes, 'minute')}. What you are writing is kept in this tab.`;
  box = dialog('Are you still here?', h('p', text), button('Stay logged in', () => box.close(), 'primary', safe),
    button('Log out', () => emit('logout')));
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

// The login page and the account menu.

function card(...children) {
  byId('main').replaceChildren(h('section.card', children));
}

// Why a session ended, in words.
export function endedNote(reason) {
  if (reason === 'account_suspended') return suspended();
  if (reason === 'no_answer') return serviceAway();
  const why = reason === 'idle' && ` because nothing happened here for ${Math.round(idleMilliseconds / 60_000)} minutes.`;
  return note('warn', '', [h('strong', `You were logged out${why ? '' : '.'}`), why,
    ' If you were writing something, it is kept in this tab. Log in again to go on with it.'], 'alert');
}

export const emergency = () => h('p.hint.rule', 'Messages may not be read at once. In an emergency, call your local emergency number.');

const suspended = () => alert('Your account is closed for now', 'You cannot log in with it. Your messages are kept. Please ask the people who gave you your account.');

// What a person without a session sees.
export function showLogin(onlogin, reason) {
  if (embedded) {
    card(h('h1', 'Messages'), endedNote(reason), button('Try again', () => location.reload(), 'primary'));
    return find('.note').focus();
  }
  const username = nameInput({ autocomplete: 'username' });
  const password = passwordInput('current');
  const fields = [field('Username', username), field('Password', password), showTyped(password)];
  card(h('h1', 'Log in'), h('p', 'Private messages between you and your care team.'), form(fields, 'Log in', async () => {
    try {
      await login(username.value, password.value);
      return onlogin();
    } catch (refusal) {
      return loginRefused(refusal);
    }
  }), h('p.hint', 'Forgotten your password? Ask the people who gave you your account. They can set a new one.'),
  emergency());
  if (reason) find('.problem').append(endedNote(reason));
  return (find('.note') ?? username).focus();
}

function loginRefused({ status, code, retryAt, isAway }) {
  if (code === 'account_suspended') return suspended();
  if (status === 429) {
    const node = alert(`Please wait until ${clock(retryAt)}`, 'There were many tries to log in. To keep accounts safe, logging in is closed until then, also with the right password. Nothing has happened to your messages.');
    setTimeout(() => node.replaceChildren('You can try again now.'), retryAt - Date.now());
    return node;
  }
  // A name or password that no account can have (400) is as wrong as any other.
  if (isAway) return serviceAway();
  return alert('That did not work', 'The username or the password is not right. Please check both. Capital and small letters matter.');
}

// The fields for a new password of one's own, and what changes it; `known` is the current one where it was just typed.
function newPassword(known) {
  const current = passwordInput('current');
  const chosen = passwordInput('new');
  const rule = 'At least 8 characters. Not your username, not a common word or a row like 12345678. Three words together are easy to keep in mind.';
  const fields = [!known && field('Current password', current), field('New password', chosen, rule), showTyped(current, chosen)];
  return [fields, async (ondone) => {
    try {
      await changePassword(known || current.value, chosen.value);
      return ondone();
    } catch ({ status, code, retryAt, isAway }) {
      if (isAway) return serviceAway();
      let text = 'This password is too easy to guess. Please choose a longer one.';
      if (code === 'wrong_password') text = 'The current password is not right. Please type it again.';
      if (status === 429) text = `You have changed it often today. Please try again at ${clock(retryAt)}.`;
      return alert('Not changed', text);
    }
  }];
}

// Shown until somebody has replaced a password that another person made.
export function showMustChange(ondone) {
  const [fields, change] = newPassword(me.typed);
  card(h('h1', 'Choose your own password'), h('p', 'Somebody else made the password you just used. Choose one that only you know. Then you can read your messages.'),
    form(fields, 'Save', () => change(ondone)));
  find('input').focus();
}

export const accountMenu = () => menu(button([unseen('Account '), bdi(me.username)], null, 'account'), [
  h('p.who', h('b', bdi(me.username)), h('span', roleName(me.role))),
  button('Change password', passwordDialog), button('People you blocked', blocksDialog),
  button('Log out', () => emit('logout'), 'rule'), button('Log out on all devices', () => emit('logout', true)),
]);

function passwordDialog() {
  const [fields, change] = newPassword();
  formDialog('Change password', [fields, h('p.hint', 'Your other devices are logged out.')], 'Change password', () => change(() => announce('Password changed')));
}

async function blocksDialog() {
  const answer = await call('GET', '/blocks').catch(sorry);
  if (!answer.blocks) return;
  const text = h('p');
  const list = h('ul.people', { role: 'list' });
  const box = tell('People you blocked', [text, list]);
  const describe = () => text.replaceChildren(list.firstChild ? 'New messages from them do not reach you.' : 'You have blocked nobody.');
  for (const { username, blocked_at: at } of answer.blocks) {
    const row = h('li', h('span', say`${username} since ${h('span', fullDate(at))}`), rowButton('Unblock', shown(username), async () => {
      if (!await setBlocked(username, false)) return;
      row.remove();
      describe();
      find('button', box).focus();
    }));
    list.append(row);
  }
  describe();
}

// Blocks or unblocks, and says whether it was done; the open conversation hears of it.
export async function setBlocked(username, isBlocked) {
  try {
    await call(isBlocked ? 'PUT' : 'DELETE', path`/blocks/${username}`);
  } catch ({ code }) {
    if (code === 'staff_not_blockable') tell('Not blocked', h('p', 'People of your care team cannot be blocked. If something is wrong, please write to an administrator.'));
    else sorry();
    return false;
  }
  announce(`${shown(username)} is ${isBlocked ? '' : 'no longer '}blocked`);
  emit('blocked', { username, isBlocked });
  return true;
}
