/**
 * Items that are handed over to a batch of a provider's own. The batch holds them in `handed:SEQ:BATCH`, outside the streams; one that is
 * taken back is held by its runner through `taken:RUNNER`.
 */
export const HANDOVERS_LUA = `
local function handed(seq, batch) return key('handed', seq, batch) end

local function handTo(job, seq, n, item)
  item[STATE], item[RUNNER] = HANDED, ''
  save(seq, n, item)
  call('SADD', handed(seq, item[BATCH]), n)
  expire(handed(seq, item[BATCH]), call('PTTL', job))
  call('SADD', key('batches', seq), item[BATCH])
  expire(key('batches', seq), call('PTTL', job))
end

-- What a runner that is gone had taken back: the batch has it again, unless it was sent.
function releaseTaken(runner, now)
  for _, member in ipairs(call('SPOP', key('taken', runner), SLICE)) do
    local id, seq, n = string.match(member, '^(%S+) (%d+) (%d+)$')
    local item = load(seq, tonumber(n))
    if item and item[RUNNER] == runner and call('HGET', key('job', id), 'seq') == seq then
      if item[STATE] == LEASED then handTo(key('job', id), seq, tonumber(n), item)
      elseif item[STATE] == SENT then repeatItem(id, seq, tonumber(n), item, now) end
    end
  end
  return call('SCARD', key('taken', runner)) > 0
end

-- ARGV: id, batch, then number and lease of each. The numbers that the batch holds.
function methods.handOver(id, batch)
  local job, kept = key('job', id), {}
  local seq = call('HGET', job, 'seq')
  if not seq then return kept end
  for a = 4, #ARGV, 2 do
    local n = tonumber(ARGV[a])
    local item = load(seq, n)
    if item and item[LEASE] == tonumber(ARGV[a + 1]) then
      if item[STATE] == LEASED then
        if item[ENTRY] ~= '' then
          leave(seq, item)
        else
          call('SREM', key('taken', item[RUNNER]), id .. ' ' .. seq .. ' ' .. n)
          call('SREM', handed(seq, item[BATCH]), n)
        end
        item[BATCH] = batch
        handTo(job, seq, n, item)
        kept[#kept + 1] = n
      elseif item[STATE] == HANDED and item[BATCH] == batch then kept[#kept + 1] = n end
    end
  end
  return kept
end

function methods.takeBack(id, n, batch, runner)
  local seq = call('HGET', key('job', id), 'seq')
  local item = seq and load(seq, tonumber(n))
  if not item or item[BATCH] ~= batch then return {} end
  if item[STATE] ~= HANDED and not (item[STATE] == LEASED and item[RUNNER] == runner) then return {} end
  item[STATE], item[RUNNER], item[LEASE] = LEASED, runner, item[LEASE] + 1
  save(seq, tonumber(n), item)
  call('SREM', handed(seq, batch), n)
  call('SADD', key('taken', runner), id .. ' ' .. seq .. ' ' .. n)
  expire(key('taken', runner), KEPT)
  return { n, item[LEASE], item[CUSTOM], call('HGET', bucket('bodies', seq, n), n), item[STRIKES], item[ROUNDS], repeats(item) }
end

-- Queues a slice of what the batch holds.
function methods.endHandover(id, batch, repeated, round, note)
  local job = key('job', id)
  local seq = call('HGET', job, 'seq')
  local ended = 0
  if not seq then return 0 end
  for _, member in ipairs(call('SPOP', handed(seq, batch), SLICE)) do
    local n = tonumber(member)
    local item = load(seq, n)
    if item and item[STATE] == HANDED and item[BATCH] == batch then
      ended = ended + 1
      if repeated == '1' and item[REPEATED] >= REPEATS_MAX then interrupt(job, seq, n, item)
      else
        item[STATE], item[BATCH], item[ROUNDS], item[NOTE] = QUEUED, '', item[ROUNDS] + tonumber(round), note
        if repeated == '1' then item[REPEATED] = item[REPEATED] + 1 end
        save(seq, n, item)
        delay(seq, n, item, 0)
      end
    end
  end
  return ended
end
`;
