// What admins do: look at a conversation with a reason, read the audit, manage accounts.
import { call, path } from './api.js';
import { announce, bdi, button, byId, count, field, formDialog, h, note, passwordFields, say, shown, unseen } from './dom.js';
import { createLog, keepPlace, loader } from './log.js';
import { T, roleName, roleNames } from './texts.js';
import { A, actionNames, sourceName } from './admin-texts.js';
import { fullDate, stamp } from './times.js';

const PAGE = 50;
const REASON_LIMIT = 200;

const away = () => note('bad', T.serviceAway, T.serviceAwayText, { role: 'alert' });
const sheet = (...children) => h('section', { class: 'admin' }, children);
const title = (text) => h('h1', { tabindex: '-1' }, text);

/** The page for one of the tabs. */
export function adminPage(view) {
  return { 'look-up': lookUp, audit, accounts }[view]();
}

function choice(options, everything) {
  return h('select', {}, everything && h('option', { value: '' }, everything), options.map(([value, label]) => h('option', { value }, label)));
}

/** A table that becomes stacked records on small screens; `add` appends rows of cells and gives the first. */
function table(caption, heads) {
  const body = h('tbody', { role: 'rowgroup' });
  const head = h('tr', { role: 'row' }, heads.map((text) => h('th', { scope: 'col', role: 'columnheader' }, text || unseen('Actions'))));
  const node = h('table', { role: 'table' }, h('caption', { class: 'unseen' }, caption), h('thead', { role: 'rowgroup' }, head), body);
  const cell = (content, i) => h('td', { role: 'cell', 'data-label': heads[i] }, content);
  const add = (rows) => {
    const made = rows.map((cells) => h('tr', { role: 'row' }, cells.map(cell)));
    body.append(...made);
    return made[0];
  };
  return { node, add, clear: () => body.replaceChildren() };
}

/** A form above a list, and the list's further parts on demand. `load(from)` gives {rows, next, none} or raises. */
function listing(tableParts, moreLabel, load) {
  const problem = h('div', { role: 'status' });
  const more = button(moreLabel, () => run(more.next), 'more', { hidden: true });
  async function run(from) {
    let part;
    try {
      part = await load(from);
    } catch ({ status, message }) {
      problem.replaceChildren(status && status < 500 ? note('bad', '', message) : away());
      return;
    }
    problem.replaceChildren();
    if (!from) tableParts.clear();
    const first = tableParts.add(part.rows);
    more.next = part.next;
    more.hidden = !part.next;
    if (!part.rows.length && !from) problem.replaceChildren(h('p', { class: 'hint' }, part.none));
    if (from && first) {
      announce(count(part.rows.length, 'more row', 'more rows'));
      first.tabIndex = -1;
      first.focus();
    }
  }
  return { nodes: [problem, tableParts.node, more], run };
}

const onsubmit = (run) => (event) => { event.preventDefault(); run(); };

// Look-up.

function lookUp() {
  const first = h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const second = first.cloneNode();
  const reason = h('input', { autocomplete: 'off' });
  const problem = h('div');
  const form = h('form', { novalidate: true, class: 'fields', onsubmit: onsubmit(look) }, problem,
    h('div', { class: 'row' }, field(A.first, first), field(A.second, second)), field(A.reason, reason, A.reasonHint),
    h('p', {}, h('button', { class: 'primary' }, A.look)));
  const page = sheet(title(A.lookUp), note('', '', A.lookText), form, pairs((a, b) => {
    first.value = a;
    second.value = b;
    reason.focus();
  }));

  async function look() {
    const refuse = (text, input) => { problem.replaceChildren(note('bad', '', text, { role: 'alert' })); input.focus(); };
    if (!reason.value.trim()) return refuse(A.noReason, reason);
    if ([...reason.value].length > REASON_LIMIT) return refuse(A.reasonHint, reason);
    if (!first.value || !second.value) return refuse(A.twoNames, first.value ? second : first);
    try {
      const result = await lookedAt(first.value, second.value, reason.value, page);
      page.replaceWith(result);
      result.querySelector('h1').focus();
    } catch ({ status, code, message }) {
      if (!status || status >= 500) refuse(T.serviceAwayText, reason);
      else refuse(code === 'user_not_found' ? A.noSuchPerson : message, reason);
    }
  }
  return page;
}

/** Who writes with whom; a row fills its names into the form above. */
function pairs(fill) {
  const username = h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const parts = table(A.whoWithWhom, ['First', 'Second', 'Last message', '']);
  const list = listing(parts, T.moreConversations, async (from) => {
    const named = username.value ? path`&username=${username.value}` : '';
    const answer = await call('GET', `/admin/conversations?page=${from ?? 1}&limit=20${named}`);
    const rows = answer.conversations.map(({ participants: [a, b], last_message_time: at }) => [bdi(a), bdi(b), fullDate(at),
      button(['Fill in', unseen(` ${shown(a)} and ${shown(b)}`)], () => fill(a, b))]);
    return { rows, next: answer.has_more && answer.page + 1, none: A.noConversations };
  });
  parts.node.hidden = true;
  return h('section', { class: 'pairs' }, h('h2', {}, A.whoWithWhom),
    h('form', { class: 'row', onsubmit: onsubmit(() => { parts.node.hidden = false; list.run(); }) },
      field(T.username, username), h('button', {}, A.list)), list.nodes);
}

async function lookedAt(a, b, reason, form) {
  const ask = (before) => call('GET', path`/admin/conversation/${a}/${b}?limit=${PAGE}&reason=${reason}` + (before ? `&before=${before}` : ''));
  const log = createLog({ isOwn: ({ sender }) => sender === b, nameOf: ({ sender }) => sender });
  const answer = await ask();
  let { messages, has_more: hasMore } = answer;
  const older = loader(T.older, async () => {
    const part = await ask(messages[0].id);
    keepPlace(log.node, () => {
      messages = [...part.messages, ...messages];
      hasMore = part.has_more;
      show();
    });
    return count(part.messages.length, 'older message', 'older messages');
  });
  function show() {
    log.top.replaceChildren(...(hasMore ? [older] : messages.length ? [] : [h('p', { class: 'hint begins' }, A.nothingThere)]));
    log.show(messages);
  }
  show();
  const back = button(T.back, () => { page.replaceWith(form); form.querySelector('h1').focus(); }, 'back quiet');
  const page = h('section', { class: 'admin looked' }, back, h('h1', { tabindex: '-1' }, bdi(a), ' and ', bdi(b)),
    note('warn', A.looking, [say(A.lookingReason, { text: reason }), ' ', A.lookingText]), h('h2', { class: 'unseen' }, T.messages), log.node);
  return page;
}

// Audit.

function audit() {
  const who = h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const about = who.cloneNode();
  const what = choice(actionNames, 'Everything');
  const parts = table('Audit', ['When', 'Who', 'How', 'What', 'About', 'Reason']);
  const list = listing(parts, A.olderEntries, async (from) => {
    const filters = Object.entries({ actor: who.value, action: what.value, username: about.value, before: from });
    const query = filters.filter(([, value]) => value).map(([name, value]) => `&${name}=${encodeURIComponent(value)}`).join('');
    const { audit: rows, has_more: hasMore } = await call('GET', `/admin/audit?limit=${PAGE}${query}`);
    return { rows: rows.map(auditRow), next: hasMore && rows.at(-1).id, none: A.noEntries };
  });
  list.run();
  return sheet(title('Audit'), h('form', { class: 'row', onsubmit: onsubmit(() => list.run()) },
    field('Who', who), field('What', what), field('About', about), h('button', {}, 'Show')), list.nodes);
}

function auditRow({ at, actor, source, action, subject, participants, reason }) {
  const about = participants ? [bdi(participants[0]), ' and ', bdi(participants[1])] : subject && bdi(subject);
  const doer = actor ? bdi(actor) : source === 'command line' ? 'Not named' : 'Not known';
  const named = actionNames.find(([code]) => code === action)?.[1] ?? action;
  return [h('time', { datetime: at }, stamp(at)), doer, sourceName(source), h('span', { title: action }, named), about, reason && h('bdi', {}, reason)];
}

// Accounts.

function accounts() {
  const role = choice(roleNames, 'Every role');
  const parts = table('Accounts', ['Username', 'Role', 'State', '']);
  const list = listing(parts, A.moreAccounts, async (from) => {
    const answer = await call('GET', `/users?page=${from ?? 1}&limit=${PAGE}${role.value && `&role=${role.value}`}`);
    return { rows: answer.users.map(accountRow), next: answer.page * answer.page_size < answer.total_users && answer.page + 1, none: A.noAccounts };
  });
  const accountRow = (user) => [bdi(user.username), roleName(user.role) || user.role, user.suspended ? 'Suspended' : 'Open',
    button(['Change', unseen(` ${shown(user.username)}`)], () => change(user, list.run))];
  list.run();
  return sheet(h('div', { class: 'listhead' }, title('Accounts'), button(A.newAccount, () => create(list.run), 'primary')),
    h('form', { class: 'row', onsubmit: onsubmit(() => list.run()) }, field('Role', role), h('button', {}, 'Show')), list.nodes);
}

const refused = (texts = {}) => ({ status, code, message }) => (status && status < 500 ? note('bad', T.notChanged, texts[code] ?? message, { role: 'alert' }) : away());

function newPassword(label, hint) {
  const input = h('input', { type: 'password', autocomplete: 'new-password' });
  return { input, fields: passwordFields([label, input, hint]) };
}

function change({ username, role, suspended }, reload) {
  const chosen = choice(isRoleKnown(role) ? roleNames : [[role, role], ...roleNames]);
  chosen.value = role;
  const box = h('input', { type: 'checkbox', id: 'suspended' });
  box.checked = suspended;
  const { input, fields } = newPassword(A.newPasswordOptional, say(A.newPasswordHint, { name: username }));
  formDialog(say('Change {name}', { name: username }), [field('Role', chosen),
    h('div', { class: 'check' }, box, h('label', { for: box.id }, A.suspended)), fields], T.save, async () => {
    const body = {
      ...(chosen.value !== role && { role: chosen.value }), ...(box.checked !== suspended && { suspended: box.checked }),
      ...(input.value && { password: input.value, must_change_password: true }),
    };
    if (!Object.keys(body).length) return;
    await call('PATCH', path`/users/${username}`, { body });
    announce(`${shown(username)} changed`);
    await reload();
  }, refused());
}

const isRoleKnown = (role) => roleNames.some(([code]) => code === role);

function create(reload) {
  const name = h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false' });
  const role = choice(roleNames);
  const { input, fields } = newPassword(A.firstPassword, A.firstPasswordHint);
  formDialog(A.newAccount, [field(T.username, name), field('Role', role), fields], A.createAccount, async () => {
    await call('POST', '/users', { body: { username: name.value, role: role.value, password: input.value, must_change_password: true } });
    announce(`${shown(name.value)} created`);
    await reload();
  }, (error) => refused({ username_taken: say(A.taken, { name: name.value }) })(error));
}
