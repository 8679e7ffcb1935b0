// A new message: who gets it, found by search, and the composer for it.
import { call, path } from './api.js';
import { composer, pickedBox } from './composer.js';
import * as drafts from './drafts.js';
import { announce, bdi, byId, count, field, h, note, say, shown } from './dom.js';
import * as inbox from './inbox.js';
import { isPatient, mayWrite } from './session.js';
import { T, roleName } from './texts.js';

const SEARCH_MILLISECONDS = 250;

/** Where the person that was picked is kept over a reload: a name that no account can have. */
const PICKED = '';

/** The pane for a new message. */
export function newMessage() {
  const body = h('div', { class: 'sheet' });
  const heading = h('h2', { tabindex: '-1' }, T.newMessage);
  const node = h('section', { class: 'thread', 'aria-label': T.newMessage },
    h('div', { class: 'head' }, h('a', { class: 'back', href: '#/' }, T.back), heading, h('a', { class: 'close', href: '#/', role: 'button' }, T.close)), body);
  const { content: partner, subject: role } = drafts.read(PICKED);
  if (!mayWrite()) body.append(note('warn', T.outside, T.outsideText));
  else if (partner) showPicked(body, partner, role);
  else showSearch(body);
  return node;
}

function showSearch(body, carried) {
  const hint = isPatient() ? T.hintPatient : T.hintStaff;
  const input = h('input', { autocomplete: 'off', autocapitalize: 'none', spellcheck: 'false', type: 'search' });
  const results = h('ul', { role: 'list', class: 'results' });
  const nobody = h('div');
  let timer = 0;
  let asked = '';

  async function search(said) {
    const q = input.value;
    asked = q;
    let recipients;
    try {
      ({ recipients } = await call('GET', q ? path`/recipients?q=${q}` : '/recipients'));
    } catch ({ status }) {
      if (q !== asked) return;
      if (!status || status >= 500) return nobody.replaceChildren(note('bad', T.serviceAway, T.serviceAwayText, { role: 'alert' }));
      recipients = [];
    }
    if (q !== asked) return;
    results.replaceChildren(...recipients.map(({ username, role }) => h('li', {},
      h('button', { type: 'button', onclick: () => pick(body, username, roleName(role), carried) }, bdi(username), h('span', { class: 'hint' }, roleName(role))))));
    nobody.replaceChildren(...(recipients.length ? [] : [note('', q && say(T.nobodyFound, { text: q }), T.nobodyText + (isPatient() ? T.nobodyPatient : ''))]));
    if (said) announce(recipients.length ? count(recipients.length, 'person found', 'people found') : 'Nobody found');
  }

  input.addEventListener('input', () => {
    clearTimeout(timer);
    timer = setTimeout(search, SEARCH_MILLISECONDS, true);
  });
  const form = h('form', { role: 'search', onkeydown: move, onsubmit: (event) => { event.preventDefault(); clearTimeout(timer); search(true); } },
    field(T.sendTo, input, hint), results, nobody);

  function move(event) {
    const found = [...results.querySelectorAll('button')];
    const at = found.indexOf(document.activeElement);
    const to = { ArrowDown: found[at + 1], ArrowUp: at > 0 ? found[at - 1] : input, Escape: at >= 0 && input }[event.key];
    if (!to) return;
    event.preventDefault();
    to.focus();
  }

  body.replaceChildren(form);
  input.value = '';
  search(false);
  return input;
}

/** A conversation that exists already opens instead, and the text goes with it. */
async function pick(body, partner, role, carried) {
  if (carried && carried !== partner) carry(carried, partner);
  const exists = inbox.rowOf(partner) || (await call('GET', path`/conversation/${partner}?limit=1`).catch(() => ({ messages: [] }))).messages.length;
  announce(`${shown(partner)} chosen`);
  if (exists) {
    drafts.write(PICKED, null);
    location.hash = `#/conversation/${encodeURIComponent(partner)}`;
    return;
  }
  drafts.write(PICKED, { content: partner, subject: role });
  showPicked(body, partner, role).focus();
}

/** What was written for one person goes to another; nothing that was written for that one is lost. */
function carry(from, to) {
  const { content, subject } = drafts.read(from);
  const there = drafts.read(to);
  drafts.write(from, null);
  if (content || subject) {
    drafts.write(to, { content: [there.content, content].filter(Boolean).join('\n\n'), subject: there.subject || subject });
  }
}

function showPicked(body, partner, role) {
  const writer = composer(partner, { isNew: true });
  body.replaceChildren(pickedBox(partner, role, () => {
    drafts.write(PICKED, null);
    showSearch(body, partner).focus();
  }), writer.node);
  return writer.node.querySelector('input');
}

/** Where the focus goes when the pane opens. */
export const focusNew = () => (byId('main').querySelector('.thread input') ?? byId('main').querySelector('.thread h2')).focus();

/** The person that was picked has the message: the next one starts empty. Says whether it was this one. */
export function wasSent(partner) {
  if (drafts.read(PICKED).content !== partner) return false;
  drafts.write(PICKED, null);
  return true;
}
