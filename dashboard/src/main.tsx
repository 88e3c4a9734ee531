import { effect } from '@preact/signals';
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { connection, sentence, theme } from './store.ts';

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});
// The tab shows the gateway's name, or the problem if there is one.
effect(() => {
  const shown = sentence.value;
  document.title = shown === null || shown.tone === 'good' ? 'Breakwater' : `${shown.headline} – Breakwater`;
});
render(<App />, document.querySelector('#app')!);
connection.open();
