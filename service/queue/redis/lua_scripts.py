"""The changes that Redis makes in one step. Each change of a running job names its holder."""

# KEYS queued, active, holders, lease counter, pause; ARGV owner. Claims the next job. Returns its
# id, lease and blob, or nothing. In one step: a worker that died between moving a job and holding
# it would leave a job without a holder.
CLAIM = """
if redis.call('EXISTS', KEYS[5]) == 1 then return nil end
local id = redis.call('LMOVE', KEYS[1], KEYS[2], 'LEFT', 'RIGHT')
if not id then return nil end
local lease = redis.call('INCR', KEYS[4])
redis.call('HSET', KEYS[3], id, ARGV[1] .. '|' .. lease)
return {id, lease, redis.call('GET', id)}
"""

# KEYS holders, active, incomplete, queued, job, abort; ARGV job id, holder ('': nobody), blob,
# 'end' or 'queue', then for 'end' the seconds to keep the job (0: for ever, -1: not at all), for
# 'queue' when it is due (0: now). Returns 1 where it is done, 0 where another holds the job, or the
# reason of an abort that came first.
WRITE_OUTCOME = """
if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end
if ARGV[4] == 'queue' then
    local reason = redis.call('GET', KEYS[6])
    if reason then return reason end
end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('LREM', KEYS[2], 0, ARGV[1])
redis.call('LREM', KEYS[4], 0, ARGV[1])
redis.call('DEL', KEYS[6])
if ARGV[4] == 'end' then
    redis.call('ZREM', KEYS[3], ARGV[1])
    redis.call('SET', KEYS[5], ARGV[3])
    if tonumber(ARGV[5]) > 0 then redis.call('EXPIRE', KEYS[5], ARGV[5]) end
    if tonumber(ARGV[5]) < 0 then redis.call('DEL', KEYS[5]) end
else
    redis.call('SET', KEYS[5], ARGV[3])
    redis.call('ZADD', KEYS[3], ARGV[5], ARGV[1])
    if tonumber(ARGV[5]) == 0 then redis.call('RPUSH', KEYS[4], ARGV[1]) end
end
return 1
"""

# KEYS as above; ARGV job id, reason, blob of the aborted job, seconds to keep it, seconds to keep
# the request. Returns what the job was: 'queued', now aborted; 'active', now requested to stop; or
# 'ended', unchanged.
ABORT = """
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
   or redis.call('LPOS', KEYS[2], ARGV[1]) then
    redis.call('SET', KEYS[6], ARGV[2], 'EX', ARGV[5], 'NX')
    return 'active'
end
if redis.call('ZREM', KEYS[3], ARGV[1]) == 0 then return 'ended' end
redis.call('LREM', KEYS[4], 0, ARGV[1])
redis.call('SET', KEYS[5], ARGV[3], 'EX', ARGV[4])
return 'queued'
"""

# KEYS incomplete, queued, job; ARGV job id, blob. Queues an ended job again; 0 where it waits or
# runs.
RETRY_ENDED = """
if redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
redis.call('SET', KEYS[3], ARGV[2])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
redis.call('RPUSH', KEYS[2], ARGV[1])
return 1
"""

# KEYS holders, job; ARGV job id, holder, blob. Writes the blob of a running job; 0 where it is no
# longer held.
UPDATE_HELD = """
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('SET', KEYS[2], ARGV[3])
return 1
"""
