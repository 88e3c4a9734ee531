/** What a caller misspells is named, and what a list shows keeps its name in the metrics. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startWorld } from './world.ts';

test('an unknown x-breakwater header is named in the timeline', async (t) => {
  const world = await startWorld(t, { storms: { a: {} } });
  await world.ask({}, { 'x-breakwater-prority': 'high' });
  const notes = world.eventsOf('note').map(({ note }) => note);
  assert.ok(
    notes.some((note) => note.includes('x-breakwater-prority')),
    notes.join(),
  );
});

test('a model that /v1/models lists is one of its own to the metrics', async (t) => {
  const world = await startWorld(t, { storms: { a: {} }, models: {} });
  assert.equal(world.gateway.isListed('a/gpt-4o'), false);
  const listed = (await (await fetch(`${world.url}/v1/models`)).json()) as { data: { id: string }[] };
  assert.ok(listed.data.length > 0);
  for (const { id } of listed.data) assert.equal(world.gateway.isListed(id), true, id);
  assert.equal(world.gateway.isListed('a/nothing'), false);
});
