/**
 * The ledger of `policy/lease/ledger.ts` as one script, so that an exchange is atomic and takes one round trip for any number of limits.
 * A limit is a hash: epoch, instant and level of the pool, of a budget what is spent by members that are gone, and a packed part for each
 * member. The instant is the server's, so the
 * instances' clocks don't matter.
 */
import { LAST_STARTS_MS, SLICED_MIN_MS, USAGE_SLOTS } from '../../core/lease.ts';
import { MERGED_MS } from '../../policy/lease/spending.ts';
import { redisScript } from './redis-client.ts';

/** Numbers of a claim, before the text of its usage. */
const CLAIM_SIZE = 21;

/** An unused ledger expires once its bucket is full again, but not before this time, in milliseconds. */
const KEPT_MIN_MS = 600_000;

/**
 * KEYS: the members, then a ledger for each claim. ARGV: the member, its silence limit in ms, the instant in ms (empty: the server's),
 * the channel, whether it leaves (1), then 21 numbers (-1: it is no budget) and the usage for each claim. Returns the members and 13 numbers for each
 * claim.
 */
export const EXCHANGE_SCRIPT = redisScript(`
local me, silence, channel, leaves = ARGV[1], tonumber(ARGV[2]), ARGV[4], ARGV[5] == '1'
local now = tonumber(ARGV[3])
if not now then
  local time = redis.call('TIME')
  now = tonumber(time[1]) * 1000 + tonumber(time[2]) / 1000
end

-- After a period without any heartbeat every member gets the full silence limit again.
local newest = redis.call('ZREVRANGE', KEYS[1], 0, 0, 'WITHSCORES')
local gap = newest[2] and now - tonumber(newest[2]) or 0
if gap > silence / 2 then
  for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do redis.call('ZADD', KEYS[1], now, name) end
end
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. string.format('%.17g', now - silence))
redis.call('ZADD', KEYS[1], string.format('%.17g', now), me)
redis.call('PEXPIRE', KEYS[1], ${KEPT_MIN_MS})
local live = {}
for _, name in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do live[name] = true end

local function clamp(value, least, most) return math.min(math.max(value, least), math.max(least, most)) end

local function pack(part)
  local text = string.format('%.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g %.17g',
    part.capacity, part.rate, part.wantCapacity, part.wantRate, part.first, part.rank, part.since, part.at, part.spent, part.reserved)
  return part.usage == '' and text or text .. ' ' .. part.usage
end

local function unpackPart(text)
  local n = {}
  for word in string.gmatch(text, '%S+') do n[#n + 1] = tonumber(word) end
  return { capacity = n[1], rate = n[2], wantCapacity = n[3], wantRate = n[4], first = n[5], rank = n[6], since = n[7], at = n[8],
    spent = n[9] or 0, reserved = n[10] or 0, usage = '', used = { unpack(n, 11) } }
end

-- The part of a member that has ended: what no longer counts at the provider is returned. True: the part has changed.
local function retire(part, countedMs)
  local changes = part.first > 0
  for i, amount in ipairs(part.used) do
    if amount > 0 and now >= part.at + i * countedMs / ${USAGE_SLOTS} then
      part.capacity, part.used[i], changes = math.max(0, part.capacity - amount), 0, true
    end
  end
  part.wantCapacity, part.first, part.usage = part.capacity, 0, table.concat(part.used, ' ')
  return changes
end

local function isBefore(parts, name, other)
  local a, b = parts[name], parts[other]
  return a.rank < b.rank or (a.rank == b.rank and (a.since < b.since or (a.since == b.since and name < other)))
end

local function firstNeeds(parts, total)
  local needs, left, waiting = {}, total, {}
  for name, part in pairs(parts) do
    needs[name], left = part.reserved, left - part.reserved
    if part.first > 0 then waiting[#waiting + 1] = name end
  end
  table.sort(waiting, function(name, other) return isBefore(parts, name, other) end)
  for _, name in ipairs(waiting) do
    local part = parts[name]
    local amount = math.max(0, math.min(left, part.first - part.reserved))
    needs[name], left = part.reserved + amount, left - amount
  end
  return needs
end

local function fairShare(parts, total, ahead, want)
  local left, level, demands = total, 0, {}
  for name, part in pairs(parts) do
    demands[#demands + 1] = math.max(0, part[want] - (ahead[name] or 0))
    left = left - (ahead[name] or 0)
  end
  left = math.max(0, left)
  table.sort(demands)
  for i = 1, #demands do
    level = left / (#demands - i + 1)
    if demands[i] >= level then break end
    left = left - demands[i]
    level = demands[i]
  end
  local own = ahead[me] or 0
  return own + math.min(math.max(0, parts[me][want] - own), level)
end

local replies, called = {}, {}
for k = 2, #KEYS do
  local key, c = KEYS[k], {}
  local offset = 5 + (k - 2) * ${CLAIM_SIZE + 1}
  for i = 1, ${CLAIM_SIZE} do c[i] = tonumber(ARGV[offset + i]) end
  local usage = ARGV[offset + ${CLAIM_SIZE + 1}]
  local capacity, rate, claimEpoch, claimPool, heldCapacity, heldRate, claimLevel = c[1], c[2], c[3], c[4], c[5], c[6], c[7]
  local returned, claimDebt, wantCapacity, wantRate, wantTokens, first, rank, hasStarted, countedMs = c[8], c[9], c[10], c[11], c[12], c[13], c[14], c[15] == 1, c[16]
  local uncounted, spent, reserved, acknowledged, elsewhere, isBudget = c[17], c[18], c[19], c[20], c[21], c[18] >= 0
  local parts, epoch, at, level, gone, goneBefore, size = {}, nil, now, capacity, 0, 0, 0
  local fields = redis.call('HGETALL', key)
  for i = 1, #fields, 2 do
    local name, value = fields[i], fields[i + 1]
    if name == 'e' then epoch = tonumber(value)
    elseif name == 't' then at = tonumber(value)
    elseif name == 'l' then level = tonumber(value)
    elseif name == 'g' then gone, goneBefore = tonumber(value), tonumber(value)
    else parts[string.sub(name, 3)] = unpackPart(value) end
  end
  epoch = epoch or now

  local freeCapacity, freeRate = capacity, rate
  for _, part in pairs(parts) do
    freeCapacity, freeRate = freeCapacity - part.capacity, freeRate - part.rate
  end
  level = math.min(math.max(0, freeCapacity), level + math.max(0, freeRate) * math.max(0, now - at))
  for name, part in pairs(parts) do
    if name ~= me and not live[name] then
      local hasEnded
      if isBudget then hasEnded = part.spent + part.capacity == 0 or now >= part.at + ${MERGED_MS}
      else hasEnded = countedMs == 0 or now >= part.at + countedMs + ${LAST_STARTS_MS} end
      if hasEnded then
        if isBudget then gone = gone + part.spent + part.capacity end
        parts[name] = nil
        redis.call('HDEL', key, 'm:' .. name)
      else
        if isBudget then part.wantCapacity, part.first = part.capacity, 0
        elseif retire(part, countedMs) then redis.call('HSET', key, 'm:' .. name, pack(part)) end
      end
    end
  end
  local before = parts[me]
  -- Ended members of a budget stay for what they have spent, and share nothing.
  local sharing, othersSpent, othersHeld, othersLost = parts, 0, 0, 0
  if isBudget then
    if not before then gone = math.max(0, gone - acknowledged) end
    sharing = {}
    for name, part in pairs(parts) do
      if name == me or live[name] then sharing[name] = part end
      if name ~= me then
        othersSpent = othersSpent + part.spent
        if live[name] then othersHeld = othersHeld + part.capacity else othersLost = othersLost + part.capacity end
      end
    end
    local isLost = claimEpoch ~= epoch
    if claimEpoch == 0 then isLost = next(parts) == nil end
    if isLost then gone = math.max(gone, elsewhere - othersSpent) end
    spent = math.max(before and before.spent or 0, spent)
    capacity = math.max(0, capacity - (gone + othersSpent + othersLost + spent))
  else
    spent = 0
  end
  if claimEpoch ~= 0 and claimEpoch ~= epoch then level = math.min(level, claimPool) end

  local othersCapacity, othersRate, othersWaiting, othersStarved, othersFirst = 0, 0, 0, 0, 0
  for name, part in pairs(sharing) do
    if name ~= me then
      othersCapacity, othersRate = othersCapacity + part.capacity, othersRate + part.rate
      if part.first > 0 then othersWaiting = othersWaiting + 1 end
      if part.first > 0 or part.capacity < part.wantCapacity / 2 - 1e-9 then othersStarved = othersStarved + 1 end
      othersFirst = math.max(othersFirst, part.first)
    end
  end
  local isWaiting = first > 0
  local part = {
    capacity = clamp(heldCapacity, 0, capacity - othersCapacity), rate = clamp(heldRate, 0, rate - othersRate),
    wantCapacity = wantCapacity, wantRate = wantRate, first = first, rank = rank, at = now,
    since = (isWaiting and before and before.first > 0 and not hasStarted) and before.since or now, spent = spent, reserved = reserved, usage = usage,
  }
  parts[me], sharing[me] = part, part
  local debt = (before and claimEpoch == epoch) and claimDebt or math.max(0, claimDebt)
  level = clamp(level + returned - debt, -capacity, capacity - othersCapacity - part.capacity)

  if leaves then
    if countedMs == 0 or (isBudget and spent + part.capacity == 0) then redis.call('HDEL', key, 'm:' .. me) else redis.call('HSET', key, 'm:' .. me, pack(part)) end
    redis.call('HSET', key, 'e', string.format('%.17g', epoch), 't', string.format('%.17g', math.max(now, at)), 'l', string.format('%.17g', level))
  else
    local oldest = nil
    for name, each in pairs(sharing) do
      size = size + 1
      if each.first > 0 and (not oldest or isBefore(sharing, name, oldest)) then oldest = name end
    end
    local isSlice = false
    if not isBudget then
      if rate > 0 then isSlice = capacity > rate * ${SLICED_MIN_MS} else isSlice = countedMs > ${SLICED_MIN_MS} end
    end
    local isDivided = not isSlice and (size == 1 or capacity >= 2 * size * math.max(1, othersFirst, part.first))
    local ahead = {}
    local isEnough = rate == 0 and not isBudget and countedMs == 0 and capacity >= size
    if isBudget then ahead = firstNeeds(sharing, capacity) elseif oldest and not isEnough then ahead[oldest] = math.min(parts[oldest].first, capacity) end
    local evenCapacity = fairShare(sharing, capacity, ahead, 'wantCapacity')
    local fairRate = isDivided and fairShare(sharing, rate, {}, 'wantRate') or 0
    if isDivided then part.rate = part.rate + clamp(fairRate - part.rate, 0, rate - othersRate - part.rate) end
    local tokens = 0
    if rate > 0 and wantTokens > 0 and level > 0 then
      local isFirst = oldest == nil or oldest == me
      local free = math.max(0, level - (isFirst and 0 or parts[oldest].first))
      local owed = isSlice and math.min(level, math.max(0, -claimLevel)) or 0
      local missing = math.max(0, first - claimLevel)
      local needed = (isFirst and missing <= free) and missing or 0
      if isSlice and first == 0 then
        tokens = math.min(wantTokens, othersWaiting > 0 and owed or math.max(owed, free))
      else
        tokens = math.min(wantTokens, math.max(free / (othersWaiting + 1), needed))
        if not (isDivided or (first > 0 and tokens >= missing)) then tokens = math.min(wantTokens, owed) end
      end
    end
    local holding = (isSlice and part.capacity or claimLevel + uncounted) + tokens
    local fairCapacity = evenCapacity
    if rate == 0 and not isBudget then fairCapacity = math.ceil(evenCapacity - 1e-9) elseif rate > 0 and not isDivided then fairCapacity = holding end
    local needed = math.max(fairCapacity, holding)
    local grantable = capacity - othersCapacity - part.capacity
    if rate > 0 and not isSlice then grantable = math.min(grantable, grantable - level + tokens) end
    part.capacity = part.capacity + clamp(math.min(needed, math.max(wantCapacity, holding)) - part.capacity, 0, grantable)
    local given = clamp(math.min(tokens, part.capacity - claimLevel - uncounted), 0, tokens)
    level = level - given
    local poolRate = rate - othersRate - part.rate
    local missing = first - claimLevel - given
    local needAhead = (oldest and oldest ~= me and isWaiting) and parts[oldest].first or 0
    local ready = -1
    if isWaiting and missing > 0 and part.rate == 0 and poolRate > rate * 1e-9 then ready = math.max(0, (missing + needAhead - level) / poolRate) end
    local due = math.min(evenCapacity, wantCapacity)
    local lacks = (isWaiting and (part.capacity < due * 0.98 or part.rate < fairRate * 0.98)) or (isDivided and part.capacity < due / 2 - 1e-9)
    local poolLevel = level
    if rate == 0 then poolLevel = math.max(0, capacity - othersCapacity - part.capacity) end
    if isSlice then
      local isShort = isWaiting and (rate > 0 and missing or first - part.capacity) > 1e-9
      if not isShort then part.first = 0 end
      lacks = isShort and othersCapacity > 1e-9
    end
    if lacks then called[#called + 1] = string.match(key, '}:lease:(.*)$') end
    redis.call('HSET', key, 'e', string.format('%.17g', epoch), 't', string.format('%.17g', math.max(now, at)), 'l', string.format('%.17g', level), 'm:' .. me, pack(part))
    replies[#replies + 1] = table.concat({ string.format('%.17g %.17g %.17g %.17g %.17g %.17g %.17g', epoch, poolLevel, part.capacity, part.rate, given,
      fairCapacity, fairRate), (othersStarved > 0 or not (isDivided or isSlice)) and 1 or 0, string.format('%.17g', ready), lacks and 1 or 0,
      string.format('%.17g %.17g %.17g', isBudget and gone + othersSpent or -1, othersHeld, othersLost) }, ' ')
  end
  if gone ~= goneBefore then redis.call('HSET', key, 'g', string.format('%.17g', gone)) end
  local kept = ${KEPT_MIN_MS}
  kept = math.max(kept, 2 * countedMs)
  if rate > 0 then kept = math.max(kept, 2 * capacity / rate) end
  redis.call('PEXPIRE', key, string.format('%.0f', kept))
end
if leaves then redis.call('ZREM', KEYS[1], me) end
local names = {}
for name in pairs(live) do names[#names + 1] = name end
table.sort(names)
-- Others have too much of it: they give back, without the message at their next exchange.
if #called > 0 then redis.pcall('PUBLISH', channel, me .. '\\ncall\\n' .. table.concat(called, '\\n')) end
return { names, replies }
`);
