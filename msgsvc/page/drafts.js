// Drafts: what one person has written to each partner in this tab and not sent yet.
const KEY = 'msgsvc.drafts';

let owner = null;
let drafts = new Map();

/** From now on the drafts of this person. Those of another person are wiped. */
export function own(username) {
  owner = username;
  drafts = new Map();
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY));
    if (stored?.owner === username) drafts = new Map(stored.drafts);
    else wipeStored();
  } catch {
    wipeStored();
  }
}

function wipeStored() {
  try {
    sessionStorage.removeItem(KEY);
  } catch { /* A browser that keeps nothing has nothing to wipe. */ }
}

/** The session has ended, the drafts wait for their owner. */
export function leave() {
  owner = null;
  drafts = new Map();
}

export function wipe() {
  leave();
  wipeStored();
}

/**
 * {subject, content, key, pending, after}: `key` is the Idempotency-Key of an attempt to send just this text, `pending`
 * says that its outcome is not known, `after` is the newest message that was there before it.
 */
export const read = (partner) => drafts.get(partner) ?? { subject: '', content: '' };

export const pending = () => [...drafts].filter(([, draft]) => draft.pending).map(([partner]) => partner);

/** Keeps a draft; without content and subject it is forgotten. Says whether it would survive a reload. */
export function write(partner, draft) {
  if (owner === null) return false;
  if (draft && (draft.content || draft.subject)) drafts.set(partner, draft);
  else drafts.delete(partner);
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ owner, drafts: [...drafts] }));
    return true;
  } catch {
    return false;
  }
}
