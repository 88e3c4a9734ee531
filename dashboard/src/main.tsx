import { effect } from '@preact/signals';
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { connection, link, sentence, theme } from './store.ts';

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});
// The tab shows the gateway's name, or the problem if there is one.
effect(() => {
  const shown = sentence.value;
  document.title = shown === null || shown.tone === 'good' ? 'Breakwater' : `${shown.headline} – Breakwater`;
});
const app = document.querySelector<HTMLElement>('#app')!;
render(<App />, app);
// A request without the key that is required would only be refused, and counted as such.
if (app.dataset['key'] === 'required') link.value = { phase: 'key', message: null };
else connection.open();
