// Writing: the composer with what it says about the state of sending, and the pane for a new message.
import { call, choosePerson, chosenPerson, forgetDraft, path, readDraft, sendDraft, sending, stopSending, writeDraft } from './service.js';
import {
  alert, announce, bdi, button, clock, count, field, find, goTo, h, nameInput, newId, note, roleName, say, serviceAway,
  shown, thread,
} from './dom.js';
import { isPatient, mayWrite } from './session.js';

const LIMIT = 5000;
const SUBJECT_LIMIT = 100;
const SAID_AT = [200, 50, 10];
const SEARCH_MILLISECONDS = 250;

const outside = () => note('warn', 'You cannot write messages with this account', 'Please ask an administrator.');

// The note for a rule that forbids writing, or null where the refusal is something else.
export function ruleNote(code, name, role) {
  const elsewhere = button('Write to somebody else', goTo('#/new'));
  if (!mayWrite()) return outside();
  if (code === 'reply_only') {
    return note('warn', say`You cannot write to ${name} yet`, say`Clinicians write first. When ${name} has written to you, you can answer here. To ask something now, write to your therapist.`, role, elsewhere);
  }
  if (code === 'recipient_not_found') return note('warn', say`Nobody here is called ${name}`, 'Please check the name.', role, elsewhere);
  if (code !== 'not_allowed') return null;
  return isPatient()
    ? note('warn', say`You cannot write to ${name} now`, say`The account is closed, or ${name} does not take messages from you. You can still read everything here.`, role, elsewhere)
    : note('warn', say`The account of ${name} is closed`, 'Nobody can write to it. You can still read and delete what is here.', role);
}

// `newest()` is the newest message known of the conversation; `isThere(draft)` loads what is newer and looks for it.
export function composer(partner, { isNew, newest = () => 0, isThere = () => false } = {}) {
  const text = h('textarea', { rows: isNew ? 6 : 2, dir: 'auto' });
  const subject = h('input', { dir: 'auto', autocomplete: 'off' });
  const status = h('p.hint.status', { id: newId() });
  const notes = h('div.notes');
  const send = h('button.primary', 'Send');
  const edit = button('Edit', stopAndLook);
  const addSubject = button('Add a subject', () => { showSubject(true); subject.focus(); }, 'quiet');
  const subjectField = field('Subject (optional)', subject);
  const textField = field(isNew ? 'Your message' : say`Write to ${partner}`, text);
  textField.firstChild.after(isNew ? '' : addSubject);
  const node = h(`form.composer.${isNew ? 'new' : 'reply'}`, { novalidate: true, onsubmit: submit, onkeydown: keys },
    notes, subjectField, textField, h('div.foot', status, edit, send));
  text.setAttribute('aria-describedby', status.id);
  let kept;
  let said;
  let slow;

  const left = () => LIMIT - [...text.value].length;
  const counted = () => (left() < 0 ? `${count(-left(), 'character')} too many` : `${count(left(), 'character')} left`);

  function showSubject(open) {
    subjectField.hidden = !isNew && !open;
    addSubject.hidden = open;
  }

  // The fields show the draft.
  function fill() {
    const { content, subject: about } = readDraft(partner);
    [text.value, subject.value, kept] = [content, about, content || about];
    showSubject(about);
  }

  function keep() {
    const { content, subject: about } = readDraft(partner);
    if (content !== text.value || about !== subject.value) kept = writeDraft(partner, { content: text.value, subject: subject.value });
  }

  function written() {
    keep();
    if (sending(partner).phase) stopSending(partner);
    text.ariaInvalid = null;
    notes.replaceChildren();
    show();
    clearTimeout(said);
    said = setTimeout(() => { if (left() < 0 || SAID_AT.includes(left())) announce(counted()); }, 1000);
  }

  function submit() {
    if (isBusy()) return;
    let problem = '';
    if (left() < 0) problem = `A message has at most 5,000 characters. Please make it ${-left()} shorter, or send it in two parts.`;
    else if (!text.value.trim()) problem = 'Please write something first.';
    else if ([...subject.value].length > SUBJECT_LIMIT) problem = `A subject has at most ${SUBJECT_LIMIT} characters.`;
    text.focus();
    if (problem) {
      notes.replaceChildren(alert('', problem));
      text.ariaInvalid = true;
    } else {
      keep();
      sendDraft(partner, newest());
    }
  }

  function keys({ key, ctrlKey, metaKey }) {
    if (key === 'Enter' && (ctrlKey || metaKey)) node.requestSubmit();
  }

  async function stopAndLook() {
    const draft = readDraft(partner);
    stopSending(partner);
    text.focus();
    if (await isThere(draft)) {
      forgetDraft(partner);
      changed({ detail: partner });
    } else notes.replaceChildren(note('', '', 'Your first text may have arrived. Please look before you send.', 'status'));
  }

  const isBusy = () => ['sending', 'unknown', 'waiting'].includes(sending(partner).phase);

  function show() {
    const { phase, at } = sending(partner);
    text.readOnly = subject.readOnly = isBusy();
    send.ariaDisabled = isBusy();
    edit.hidden = phase !== 'unknown' && phase !== 'waiting';
    clearTimeout(slow);
    if (phase === 'sending') slow = setTimeout(() => status.replaceChildren('Still sending. Your text is kept.'), 5000);
    status.replaceChildren({ sending: 'Sending…', unknown: 'Trying again…', waiting: `Waiting until ${clock(at)}` }[phase] ?? `${kept ? 'Kept in this tab. ' : ''}${counted()}`);
    if (phase) notes.replaceChildren(phaseNote(sending(partner)));
  }

  function phaseNote({ phase, at, refusal }) {
    if (phase === 'unknown') return note('warn', 'We do not know yet whether it arrived', 'The answer got lost on the way. The page asks again by itself, and the message cannot arrive twice.', 'status');
    if (phase === 'waiting') return note('warn', `Sends itself at ${clock(at)}`, 'You have sent many messages in a short time. This one is kept and goes out by itself. Leave this tab open.', 'status');
    if (phase === 'sending') return '';
    const title = 'Not sent. Your text is kept here.';
    if (refusal.isAway) return alert(title, ['The service did not answer. ', h('strong', 'Send'), ' tries again, and the message cannot arrive twice.']);
    return ruleNote(refusal.code, partner, 'alert') ?? alert(title, refusal.message);
  }

  function changed({ detail }) {
    if (detail !== partner) return;
    if (!node.isConnected) return removeEventListener('draft', changed);
    if (!readDraft(partner).content && !isBusy()) {
      fill();
      notes.replaceChildren();
    }
    show();
  }

  addEventListener('draft', changed);
  text.addEventListener('input', written);
  subject.addEventListener('input', written);
  fill();
  show();
  return node;
}

// A new message: who gets it, found by search, then the composer for it.
export function newMessage() {
  const body = h('div.sheet');
  const node = thread('New message', 'New message', button('Close', goTo('#/'), 'close'), body);
  if (!mayWrite()) body.append(outside());
  else if (chosenPerson()) showChosen(body);
  else showSearch(body);
  return node;
}

function showSearch(body, carried) {
  const input = nameInput({ type: 'search' });
  const results = h('ul.results', { role: 'list' });
  const nobody = h('div');
  let timer;

  async function search(isSaid) {
    const q = input.value;
    const { recipients = [], isAway } = await call('GET', q ? path`/recipients?q=${q}` : '/recipients').catch((refusal) => refusal);
    if (q !== input.value || !input.isConnected) return;
    const found = recipients.length;
    const hint = ' Clinicians write first. When one has written to you, you can answer in that conversation. For another patient, type the whole username.';
    const none = found ? '' : note('', q && say`Nobody found for “${q}”`, `You see only people you may write to.${isPatient() ? hint : ''}`);
    results.replaceChildren(...recipients.map((person) => h('li', button([bdi(person.username), h('span.hint', roleName(person.role))], () => choose(body, person, carried)))));
    nobody.replaceChildren(isAway ? serviceAway() : none);
    if (isSaid && !isAway) announce(found ? count(found, 'person found', 'people found') : 'Nobody found');
  }

  function keys(event) {
    const found = [input, ...results.querySelectorAll('button')];
    const at = found.indexOf(document.activeElement);
    const to = { ArrowDown: found[at + 1], ArrowUp: found[at - 1], Escape: at > 0 && input }[event.key];
    if (!to) return;
    event.preventDefault();
    to.focus();
  }

  const searchSoon = (wait) => {
    clearTimeout(timer);
    timer = setTimeout(search, wait, true);
  };
  input.addEventListener('input', () => searchSoon(SEARCH_MILLISECONDS));
  const hint = isPatient() ? 'Type the first letters of a name. To write to another patient, type the whole username. Clinicians write first.' : 'Type the first letters of a username.';
  body.replaceChildren(h('form', { role: 'search', onkeydown: keys, onsubmit: () => searchSoon(0) },
    field('Send to', input, hint), results, nobody));
  search();
}

// A conversation that exists already opens instead, and the text goes with it.
async function choose(body, person, carried) {
  const { username } = person;
  if (carried) carry(carried, username);
  announce(`${shown(username)} chosen`);
  const { messages } = await call('GET', path`/conversation/${username}?limit=1`).catch(() => ({ messages: [] }));
  const exists = messages.length;
  choosePerson(exists ? null : person);
  if (exists) location.hash = path`#/conversation/${username}`;
  else showChosen(body);
}

// What was written for one person goes to another; what was written for that one is not lost.
function carry(from, to) {
  const { content, subject } = readDraft(from);
  const there = readDraft(to);
  if (from === to || !(content || subject)) return;
  forgetDraft(from);
  writeDraft(to, { content: [there.content, content].filter(Boolean).join('\n\n'), subject: there.subject || subject });
}

function showChosen(body) {
  const { username, role } = chosenPerson();
  body.replaceChildren(h('div.chosen', h('span', h('b', bdi(username)), ' ', h('span.hint', roleName(role))), button('Choose somebody else', () => {
    choosePerson(null);
    showSearch(body, username);
    focusNew();
  }, 'quiet')), composer(username, { isNew: true }));
  focusNew();
}

// Where writing a new message goes on.
export const focusNew = () => (find('.thread input') ?? find('.thread h2'))?.focus();
