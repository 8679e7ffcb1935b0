// The login page, the page on which somebody chooses a password of their own, and the account menu.
import { call, embedded, emit, idleMilliseconds, path } from './api.js';
import {
  alert, announce, bdi, button, byId, field, find, form, formDialog, h, menu, nameInput, note, passwordInput, say, serviceAway, showTyped, sorry, tell, unseen,
} from './dom.js';
import { changePassword, login, me } from './session.js';
import { clock, fullDate, roleName, shown } from './words.js';

function card(...children) {
  byId('main').dataset.view = 'card';
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
  h('p.hint.rule', 'Messages may not be read at once. In an emergency, call your local emergency number.'));
  if (reason) find('.problem').append(endedNote(reason));
  return (find('.note') ?? username).focus();
}

function loginRefused({ status, code, retryAt }) {
  if (code === 'account_suspended') return suspended();
  if (status === 429) {
    const node = alert(`Please wait until ${clock(retryAt)}`, 'There were many tries to log in. To keep accounts safe, logging in is closed until then, also with the right password. Nothing has happened to your messages.');
    setTimeout(() => node.replaceChildren('You can try again now.'), retryAt - Date.now());
    return node;
  }
  // A name or password that no account can have (400) is as wrong as any other.
  if (!status || status >= 500) return serviceAway();
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
    } catch ({ status, code, retryAt }) {
      if (!status || status >= 500) return serviceAway();
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

export const accountMenu = (onlogout) => menu(button([unseen('Account '), bdi(me.username)], null, 'account'),
  h('p.who', h('b', bdi(me.username)), h('span', roleName(me.role))),
  button('Change password', passwordDialog), button('People you blocked', blocksDialog),
  button('Log out', () => onlogout(false), 'rule'), button('Log out on all devices', () => onlogout(true)));

function passwordDialog() {
  const [fields, change] = newPassword();
  formDialog('Change password', [fields, h('p.hint', 'Your other devices are logged out.')], 'Change password', () => change(() => announce('Password changed')));
}

async function blocksDialog() {
  const answer = await call('GET', '/blocks').catch(sorry);
  if (!answer.blocks) return;
  const text = h('p');
  const list = h('ul.people', { role: 'list' });
  const box = tell([text, list], 'People you blocked');
  const describe = () => text.replaceChildren(list.firstChild ? 'New messages from them do not reach you.' : 'You have blocked nobody.');
  for (const { username, blocked_at: at } of answer.blocks) {
    const row = h('li', h('span', say`${username} since ${h('span', fullDate(at))}`), button(['Unblock', unseen(` ${shown(username)}`)], async () => {
      if (!await unblock(username)) return;
      row.remove();
      describe();
      find('button', box).focus();
    }));
    list.append(row);
  }
  describe();
}

// Says whether it was done; the open conversation hears of it.
export async function unblock(username) {
  try {
    await call('DELETE', path`/blocks/${username}`);
  } catch {
    sorry();
    return false;
  }
  announce(`${shown(username)} is no longer blocked`);
  emit(window, 'unblocked', username);
  return true;
}
