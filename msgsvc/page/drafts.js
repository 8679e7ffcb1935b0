// Drafts, which one person has in this tab for each partner, and sending them: one attempt after another with the same
// Idempotency-Key until the outcome is known, whatever pane is open.
import { call, emit } from './api.js';

const KEY = 'msgsvc.drafts';
const FIRST_RETRY = 2000;
const LONGEST_RETRY = 60_000;

// `change` (detail: the partner) and `sent` (detail: {partner, message}).
export const events = new EventTarget();

let owner = null;
let drafts = new Map();
let picked = null;
const jobs = new Map();

// From now on the drafts of this person; those of another person are wiped.
export function own(username) {
  let stored = null;
  try {
    stored = JSON.parse(sessionStorage.getItem(KEY));
  } catch { /* Nothing is kept. */ }
  const isOwn = stored?.owner === username;
  if (!isOwn) wipe();
  owner = username;
  if (isOwn) [drafts, picked] = [new Map(stored.drafts), stored.picked];
}

// The session has ended: all attempts end too, and the drafts wait for their owner.
export function leave() {
  for (const { timer } of jobs.values()) clearTimeout(timer);
  jobs.clear();
  [owner, drafts, picked] = [null, new Map(), null];
}

export function wipe() {
  leave();
  try {
    sessionStorage.removeItem(KEY);
  } catch { /* Nothing is kept. */ }
}

function store() {
  if (owner === null) return false;
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ owner, drafts: [...drafts], picked }));
    return true;
  } catch {
    return false;
  }
}

// {subject, content} and, once it was sent: `key` for just this text, `pending` while the outcome is not known, `after`,
// the newest message that was there before.
export const read = (partner) => drafts.get(partner) ?? { subject: '', content: '' };

// Says whether the draft would survive a reload.
export function write(partner, draft) {
  if (draft.content || draft.subject) drafts.set(partner, draft);
  else drafts.delete(partner);
  return store();
}

export const forget = (partner) => write(partner, {});

// Who was chosen for a new message, {username, role} or null.
export const chosen = () => picked;
export function choose(person) {
  picked = person;
  store();
}

// How far the text for a partner is: phase '', sending, unknown, waiting (until `at`) or refused (`refusal`).
export const state = (partner) => jobs.get(partner) ?? { phase: '' };

function set(partner, job) {
  clearTimeout(state(partner).timer);
  if (job) jobs.set(partner, job);
  else jobs.delete(partner);
  emit(events, 'change', partner);
}

// randomUUID needs a secure context, which a clinic's own network may not be.
const newKey = () => crypto.getRandomValues(new Uint32Array(4)).join('-');

export function send(partner, newest) {
  const draft = read(partner);
  write(partner, { key: newKey(), after: newest, ...draft, pending: true });
  attempt(partner, 0);
}

// Goes on with what had no answer before a reload or a login.
export function resume() {
  for (const [partner, { pending }] of drafts) if (pending) attempt(partner, 1);
}

// The text goes back to its writer: no further attempt.
export function edit(partner) {
  write(partner, { ...read(partner), pending: false });
  set(partner, null);
}

async function attempt(partner, tries) {
  const { key, subject, content } = read(partner);
  const job = { phase: tries ? 'unknown' : 'sending' };
  set(partner, job);
  try {
    if (!navigator.onLine && !tries) throw { status: 503 };
    const body = { recipient: partner, content, ...(subject && { subject }) };
    const { message_id: id, sent_at: at } = await call('POST', '/send', { body, key, background: tries > 0 });
    if (read(partner).key !== key) return;
    forget(partner);
    set(partner, null);
    emit(events, 'sent', { partner, message: { id, content, subject: subject || null, is_read: false, sent_at: at } });
  } catch (refusal) {
    if (jobs.get(partner) === job) take(partner, tries, refusal);
  }
}

function take(partner, tries, refusal) {
  const { status, retryAt } = refusal;
  const again = (phase, wait) => {
    const run = () => attempt(partner, tries + 1);
    set(partner, { phase, at: Date.now() + wait, run, timer: setTimeout(run, wait) });
  };
  const announced = Math.max(1000, (retryAt || 0) - Date.now());
  if (status === 429) again('waiting', announced);
  // After an attempt without an answer, a refusal for now does not tell what became of that one.
  else if (!status || (status >= 500 && tries)) again('unknown', Math.max(announced, Math.min(FIRST_RETRY * 2 ** tries, LONGEST_RETRY)));
  else {
    write(partner, { ...read(partner), pending: false });
    set(partner, { phase: 'refused', refusal });
  }
}

addEventListener('online', () => {
  for (const { phase, run } of jobs.values()) if (phase === 'unknown') run?.();
});
