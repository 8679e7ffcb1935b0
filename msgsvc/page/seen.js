// Read means seen: tells which messages have been in view, in a window that has the focus.
const GATHER_MILLISECONDS = 300;

/** `onseen(ids)` is called for messages that were observed and seen. `covered()` is what hides the bottom of the window. */
export function watchSeen(onseen, covered) {
  const ids = new Map();
  const inView = new Set();
  let timer = 0;

  const observer = new IntersectionObserver((entries) => {
    for (const { target, intersectionRatio, intersectionRect, rootBounds } of entries) {
      const isSeen = intersectionRatio >= 0.6 || intersectionRect.height > (rootBounds?.height ?? innerHeight) / 2;
      if (isSeen) inView.add(target);
      else inView.delete(target);
    }
    gather();
  }, { threshold: [0, 0.2, 0.4, 0.6, 0.8, 1], rootMargin: `0px 0px -${Math.round(covered())}px 0px` });

  function gather() {
    clearTimeout(timer);
    if (inView.size) timer = setTimeout(look, GATHER_MILLISECONDS);
  }

  function look() {
    if (document.hidden || !document.hasFocus() || document.querySelector('dialog[open]')) return;
    const seen = [...inView].map((node) => ids.get(node)).filter(Boolean);
    for (const node of inView) forget(node);
    if (seen.length) onseen(seen);
  }

  function forget(node) {
    observer.unobserve(node);
    inView.delete(node);
    ids.delete(node);
  }

  addEventListener('focus', gather);
  document.addEventListener('visibilitychange', gather);
  document.addEventListener('close', gather, true);
  return {
    watch(node, id) {
      if (ids.has(node)) return;
      ids.set(node, id);
      observer.observe(node);
    },
    stop() {
      clearTimeout(timer);
      observer.disconnect();
      removeEventListener('focus', gather);
      document.removeEventListener('visibilitychange', gather);
      document.removeEventListener('close', gather, true);
    },
  };
}
