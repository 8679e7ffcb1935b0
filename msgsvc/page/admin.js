// What admins do: look at a conversation with a reason, read the audit, manage accounts.
import { call, path } from './service.js';
import {
  alert, announce, bdi, button, checkbox, count, field, find, form, formDialog, fullDate, h, isRole, nameInput, note,
  passwordInput, roleName, ROLES, rowButton, say, serviceAway, shown, showTyped, stamp, unseen,
} from './dom.js';
import { createLog, keepPlace, loader } from './log.js';

const PAGE = 50;

const ACTIONS = 'conversation_viewed conversations_listed logged_in login_failed login_throttled token_created admin_denied user_created role_changed password_reset password_changed user_suspended user_reinstated user_forgotten'.split(' ');
// A code of the service as words.
const inWords = (code) => code[0].toUpperCase() + code.slice(1).replaceAll('_', ' ');

const sheet = (heading, ...children) => h('section.admin', h('h1', { tabindex: -1 }, heading), children);
const select = (options, everything) => h('select', everything && h('option', { value: '' }, everything), Object.entries(options).map(([value, label]) => h('option', { value }, label)));
const refused = ({ isAway, message }, title) => (isAway ? serviceAway() : alert(title, message));

// The page for one of the tabs.
export const adminPage = (view) => ({ 'look-up': lookUp, audit, accounts }[view]());

// A form above a table, which becomes stacked records on small screens, and its further parts on demand.
// `load(values, from)` gives {rows, next} for the values of the fields.
function listing(caption, heads, fields, label, moreLabel, load) {
  const state = h('div', { role: 'status' });
  const body = h('tbody', { role: 'rowgroup' });
  const more = button(moreLabel, () => show(more.next), 'more', { hidden: true });
  let values;
  let asked = 0;
  async function show(from) {
    const mine = asked += 1;
    let part;
    if (!from) values = Array.from(search.elements, ({ value }) => value);
    try {
      part = await load(values, from);
    } catch (refusal) {
      if (mine === asked) state.replaceChildren(refused(refusal));
      return;
    }
    // Somebody who has asked for something else meanwhile gets that.
    if (mine !== asked) return;
    const focused = body.contains(document.activeElement) && document.activeElement.textContent;
    const rows = part.rows.map((cells) => h('tr', { role: 'row', tabindex: -1 }, cells.map((cell, i) => h('td', { role: 'cell', 'data-label': heads[i] }, cell && h('span', cell)))));
    if (!from) body.replaceChildren();
    body.append(...rows);
    table.hidden = false;
    Object.assign(more, { next: part.next, hidden: !part.next });
    state.replaceChildren(body.firstChild ? '' : h('p.hint', 'Nothing found.'));
    if (from) {
      announce(count(rows.length, 'more row'));
      rows[0]?.focus();
    } else if (focused) [...body.querySelectorAll('button')].find(({ textContent }) => textContent === focused)?.focus();
  }
  const search = h('form.row', { onsubmit: () => show() }, fields, h('button', label));
  const table = h('table', { role: 'table', hidden: true }, h('caption.unseen', caption), h('thead', { role: 'rowgroup' },
    h('tr', { role: 'row' }, heads.map((head) => h('th', { scope: 'col', role: 'columnheader' }, head || unseen('Actions'))))), body);
  return [show, search, state, table, more];
}

// Look-up.

function lookUp() {
  const [first, second] = [nameInput(), nameInput()];
  const reason = h('input', { autocomplete: 'off' });
  const hint = 'Needed. At most 200 characters. Write it so that somebody else understands it later.';

  async function look() {
    const refuse = (text, input) => { setTimeout(() => input.focus()); return alert('', text); };
    if (!reason.value.trim()) return refuse('Please write a reason. Without it nothing is shown.', reason);
    if (!first.value || !second.value) return refuse('Please write both usernames.', first.value ? second : first);
    try {
      const result = await looked(first.value, second.value, reason.value, page);
      page.replaceWith(result);
      find('h1', result).focus();
    } catch (refusal) {
      setTimeout(() => reason.focus());
      return refused(refusal, '');
    }
  }

  const [, ...pairs] = listing('Who writes with whom', ['First', 'Second', 'Last message', ''], field('Username', nameInput()), 'List conversations', 'Load more conversations', async ([name], from = 1) => {
    const answer = await call('GET', `/admin/conversations?limit=20&page=${from}${name && path`&username=${name}`}`);
    return { next: answer.has_more && from + 1, rows: answer.conversations.map(({ participants: [a, b], last_message_time: at }) => [bdi(a), bdi(b), fullDate(at),
      rowButton('Fill in', `${shown(a)} and ${shown(b)}`, () => { [first.value, second.value] = [a, b]; reason.focus(); })]) };
  });
  const page = sheet('Look-up', note('', '', 'Each look is written into the audit with your name and your reason, before anything is shown. You can read here, but change nothing.'),
    form([h('div.row', field('First person', first), field('Second person', second)), field('Reason', reason, hint)], 'Look', look),
    h('h2', 'Who writes with whom'), pairs);
  return page;
}

async function looked(a, b, reason, before) {
  const get = (rest = '') => call('GET', path`/admin/conversation/${a}/${b}?limit=${PAGE}&reason=${reason}` + rest);
  const log = createLog(({ sender }) => sender === b);
  let { messages, has_more: hasMore } = await get();
  const older = loader('Load older messages', async () => {
    const part = await get(`&before=${messages[0].id}`);
    [messages, hasMore] = [[...part.messages, ...messages], part.has_more];
    keepPlace(log.node, show);
    return count(part.messages.length, 'older message');
  });
  function show() {
    log.top.replaceChildren(hasMore ? older : messages.length ? '' : h('p.hint.begins', 'There are no messages between these two.'));
    log.show(messages);
  }
  show();
  const page = sheet([bdi(a), ' and ', bdi(b)], note('warn', 'You are looking as administrator.', say`Reason: “${reason}”. This look is in the audit. You see what at least one of the two still sees.`),
    h('h2.unseen', 'Messages'), log.node);
  page.classList.add('looked');
  page.prepend(button('Back', () => { page.replaceWith(before); find('h1').focus(); }, 'back quiet'));
  return page;
}

// Audit.

function audit() {
  const fields = [field('Who', nameInput()), field('What', select(Object.fromEntries(ACTIONS.map((code) => [code, inWords(code)])), 'Everything')), field('About', nameInput())];
  const [show, ...nodes] = listing('Audit', ['When', 'Who', 'How', 'What', 'About', 'Reason'], fields, 'Show', 'Load older entries', async ([actor, action, username], before) => {
    const query = Object.entries({ actor, action, username, before }).filter(([, value]) => value);
    const answer = await call('GET', `/admin/audit?limit=${PAGE}&${new URLSearchParams(query)}`);
    return { rows: answer.audit.map(auditRow), next: answer.has_more && answer.audit.at(-1).id };
  });
  show();
  return sheet('Audit', nodes);
}

// What is written beside a new account or a changed role are roles.
const rolesInWords = (action, reason) => (/^(user_created|role_changed)$/.test(action) ? reason.replace(/\w+/g, (word) => roleName(word) || word) : reason);

const auditRow = ({ at, actor, source, action, subject, participants, reason }) => [
  h('time', { datetime: at }, stamp(at)), actor ? bdi(actor) : source === 'command line' ? 'Not named' : 'Not known', source === 'api' ? 'Page or API' : inWords(source),
  h('span', { title: action }, inWords(action)), participants ? say`${participants[0]} and ${participants[1]}` : subject && bdi(subject), reason && bdi(rolesInWords(action, reason)),
];

// Accounts.

function accounts() {
  const [show, ...nodes] = listing('Accounts', ['Username', 'Role', 'State', ''], field('Role', select(ROLES, 'Every role')), 'Show', 'Load more accounts', async ([role], from = 1) => {
    const answer = await call('GET', `/users?limit=${PAGE}&page=${from}${role && `&role=${role}`}`);
    return { next: from * PAGE < answer.total_users && from + 1, rows: answer.users.map((user) => [bdi(user.username), roleName(user.role) || user.role,
      user.suspended ? 'Suspended' : 'Open', rowButton('Change', shown(user.username), () => change(user, show))]) };
  });
  show();
  const page = sheet('Accounts', nodes);
  page.prepend(h('div.listhead', find('h1', page), button('New account', () => create(show), 'primary')));
  return page;
}

// A dialog that changes something about a person, and then the list.
function personDialog(heading, fields, label, done, show, send) {
  formDialog(heading, fields, label, async () => {
    try {
      await send();
    } catch (refusal) {
      return refused(refusal, 'That did not work');
    }
    announce(done());
    show();
  });
}

function change({ username, role, suspended }, show) {
  const chosen = select(isRole(role) ? ROLES : { [role]: role, ...ROLES });
  chosen.value = role;
  const { box, node } = checkbox('Suspended: cannot log in, and nobody can write to this account', null, suspended);
  const password = passwordInput('new');
  const hint = say`It works once. ${username} must then choose another one, and is logged out everywhere.`;
  personDialog(say`Change ${username}`, [field('Role', chosen), node, field('New password (optional)', password, hint), showTyped(password)], 'Save', () => `${shown(username)} changed`, show, async () => {
    const body = {
      ...(chosen.value !== role && { role: chosen.value }), ...(box.checked !== suspended && { suspended: box.checked }),
      ...(password.value && { password: password.value, must_change_password: true }),
    };
    if (Object.keys(body).length) await call('PATCH', path`/users/${username}`, { body });
  });
}

function create(show) {
  const [name, role, password] = [nameInput(), select(ROLES), passwordInput('new')];
  const fields = [field('Username', name), field('Role', role), field('First password', password, 'It works once. The person must then choose another one.'), showTyped(password)];
  personDialog('New account', fields, 'Create account', () => `${shown(name.value)} created`, show, async () => {
    const body = { username: name.value, role: role.value, password: password.value, must_change_password: true };
    await call('POST', '/users', { body }).catch((refusal) => {
      if (refusal.status === 409) refusal.message = say`There is already an account ${name.value}.`;
      throw refusal;
    });
  });
}
