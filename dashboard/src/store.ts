/** The page's signals: the gateway model, the connection, and the operator's choices. */
import { computed, signal } from '@preact/signals';
import { Connection, type Link } from './connection.ts';
import { applyFrame, emptyModel, type Model } from './model.ts';
import { sentenceOf, type Sentence } from './sentence.ts';
import { targetRows } from './target-rows.ts';

export const model = signal<Model>(emptyModel);
export const link = signal<Link>({ phase: 'connecting' });

export const rows = computed(() => (model.value.state === null ? [] : targetRows(model.value.state)));
export const sentence = computed<Sentence | null>(() => {
  const { state, points } = model.value;
  return state === null ? null : sentenceOf(state, points, rows.value);
});

/** Id of the request whose details are shown. */
export const openRequest = signal<string | null>(null);

export const connection = new Connection({
  onFrame: (frame) => (model.value = applyFrame(model.value, frame)),
  onLink: (next) => {
    if (next.phase !== 'live' || link.value.phase !== 'live') link.value = next;
  },
});

export const themes = ['auto', 'light', 'dark'] as const;
export type Theme = (typeof themes)[number];
export const theme = signal<Theme>(savedTheme());

export function setTheme(next: Theme): void {
  theme.value = next;
  try {
    localStorage.setItem('breakwater-theme', next);
  } catch {
    // Storage may be disabled; the choice then lasts until the page is closed.
  }
}

function savedTheme(): Theme {
  try {
    return themes.find((one) => one === localStorage.getItem('breakwater-theme')) ?? 'auto';
  } catch {
    return 'auto';
  }
}
