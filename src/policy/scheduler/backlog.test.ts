import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bucketOf, Backlog } from './backlog.ts';
import { Supply } from './supply.ts';

test('a backlog whose deadline has passed is removed completely, even if the ring has grown since', () => {
  const backlog = new Backlog();
  const client = { backlog: 0 };
  const late = bucketOf(0, 1_000);
  backlog.add(0, late, 1_000, 10, client, 1);
  backlog.add(50_000, bucketOf(50_000, 200_000), 200_000, 5, client, 1); // the ring grows
  backlog.add(60_000, late, 1_000, 10, client, -1);
  backlog.add(60_000, bucketOf(50_000, 200_000), 200_000, 5, client, -1);
  for (let deadline = 60_250; deadline < 300_000; deadline += 250) {
    const bucket = bucketOf(60_000, deadline);
    backlog.add(60_000, bucket, deadline, 3, client, 1);
    const supply = new Supply().of(60_000, 0, 1).after(0, 0, 0); // one per millisecond
    assert.equal(backlog.when(60_000, deadline + 100, 1, 3, supply), 60_004, `with three due at ${deadline}`);
    backlog.add(60_000, bucket, deadline, 3, client, -1);
  }
});
