import { effect } from '@preact/signals';
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { connection, sentence, theme } from './store.ts';

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});
// The tab shows the gateway's name while it is calm, else the problem.
effect(() => {
  const said = sentence.value;
  document.title = said === null || said.tone === 'good' ? 'Breakwater' : `${said.headline} – Breakwater`;
});
render(<App />, document.querySelector('#app')!);
connection.open();
