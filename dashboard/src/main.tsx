import { effect } from '@preact/signals';
import { render } from 'preact';
import 'uplot/dist/uPlot.min.css';
import './style.css';
import { App } from './app.tsx';
import { connection, theme } from './store.ts';

effect(() => {
  document.documentElement.dataset['theme'] = theme.value;
});
render(<App />, document.querySelector('#app')!);
connection.open();
