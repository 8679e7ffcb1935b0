// The login page, and the page on which somebody chooses a password of their own.
import { embedded, idleSeconds } from './api.js';
import { button, byId, field, h, note, passwordFields, say } from './dom.js';
import { changePassword, login, me } from './session.js';
import { T } from './texts.js';
import { clock } from './times.js';

function card(...children) {
  byId('main').dataset.view = 'card';
  byId('main').replaceChildren(h('section', { class: 'card' }, children));
}

/** A form whose problems appear above it; while it is sent, another click does nothing. */
function form(heading, intro, fields, label, submit, after) {
  const problem = h('div');
  let busy = false;
  const node = h('form', { novalidate: true, onsubmit: async (event) => {
    event.preventDefault();
    if (busy) return;
    busy = true;
    const refused = await submit();
    busy = false;
    if (!refused) return;
    problem.replaceChildren(refused);
    refused.focus();
  } }, fields, h('p', {}, h('button', { class: 'primary wide' }, label)));
  card(h('h1', {}, heading), problem, intro, node, after);
  return problem;
}

/** Why a session ended, in words. */
export function endedNote(reason) {
  if (reason === 'account_suspended') return note('bad', T.suspended, T.suspendedText, { role: 'alert' });
  if (reason === 'no_answer') return note('bad', T.serviceAway, T.serviceAwayText, { role: 'alert' });
  const sentence = (reason === 'idle' ? T.endedIdle : T.ended) + T.endedKept;
  return note('warn', '', say(sentence, { n: Math.round(idleSeconds / 60) }), { role: 'alert' });
}

/** What a person without a session sees. */
export function showLogin(onlogin, reason) {
  const said = reason && endedNote(reason);
  if (embedded) {
    card(h('h1', {}, T.title), said ?? endedNote('unauthorized'), button(T.tryAgain, () => location.reload(), 'primary'));
    byId('main').querySelector('.note').focus();
    return;
  }
  const username = h('input', { autocomplete: 'username', autocapitalize: 'none', spellcheck: 'false' });
  const password = h('input', { type: 'password', autocomplete: 'current-password' });
  const problem = form(T.login, h('p', {}, T.loginLead), [field(T.username, username), passwordFields([T.password, password])], T.login,
    async () => {
      try {
        await login(username.value, password.value);
        onlogin();
        return null;
      } catch (refusal) {
        return loginRefused(refusal);
      }
    }, [h('p', { class: 'hint' }, T.forgotten), h('p', { class: 'hint rule' }, T.emergency)]);
  if (said) problem.append(said);
  (said ?? username).focus();
}

function loginRefused({ status, code, retryAt }) {
  const alert = (title, text) => note('bad', title, text, { role: 'alert' });
  if (code === 'account_suspended') return alert(T.suspended, T.suspendedText);
  if (status === 429) {
    const node = alert(say(T.throttled, { time: clock(retryAt ?? Date.now() + 60_000) }), T.throttledText);
    setTimeout(() => node.isConnected && node.replaceChildren(h('p', {}, T.tryNow)), (retryAt ?? 0) - Date.now());
    return node;
  }
  // A name or password that no account can have (400) is as wrong as any other.
  if (status && status < 500) return alert(T.wrongLogin, T.wrongLoginText);
  return alert(T.serviceAway, T.serviceAwayText);
}

/** The note for a password that was not changed. */
export function passwordRefused({ status, code, retryAt }) {
  const alert = (text) => note('bad', T.notChanged, text, { role: 'alert' });
  if (code === 'wrong_password') return alert(T.wrongCurrent);
  if (status === 429) return alert(say(T.changedOften, { time: clock(retryAt ?? Date.now()) }));
  if (status && status < 500) return alert(T.tooWeak);
  return note('bad', T.serviceAway, T.serviceAwayText, { role: 'alert' });
}

export function newPasswordFields() {
  const current = h('input', { type: 'password', autocomplete: 'current-password' });
  const chosen = h('input', { type: 'password', autocomplete: 'new-password' });
  return { current, chosen, fields: [[T.currentPassword, current], [T.newPassword, chosen, T.passwordRule]] };
}

/** Shown until somebody has replaced a password that another person made. */
export function showMustChange(ondone) {
  const { current, chosen, fields } = newPasswordFields();
  current.value = me.typedPassword;
  form(T.choosePassword, h('p', {}, T.choosePasswordText), passwordFields(...fields.slice(me.typedPassword ? 1 : 0)), T.save, async () => {
    try {
      await changePassword(current.value, chosen.value);
      ondone();
      return null;
    } catch (refusal) {
      return passwordRefused(refusal);
    }
  });
  byId('main').querySelector('input').focus();
}
