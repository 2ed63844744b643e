-- wrk's figures as one line of JSON. With KEY=prefix in the environment each request puts a key of its own, so that
-- no two writes meet. With BODY in the environment each request posts it: COUNT in it is a number of its own, ROW one from 1
-- to ROWS. With OBJECT=prefix each request puts an object of SIZE bytes of its own, in the R2 binding's protocol.
local threads = 0

-- Each of wrk's threads runs this file in a state of its own, and is told its number.
function setup(thread)
    thread:set("number", threads)
    threads = threads + 1
end

local posted = os.getenv("BODY")

if posted then
    local rows = tonumber(os.getenv("ROWS"))

    function init()
        local count = 0
        request = function()
            count = count + 1
            local body = posted:gsub("COUNT", number .. "-" .. count):gsub("ROW", count * 7919 % rows + 1)
            return wrk.format("POST", nil, nil, body)
        end
    end
end

local prefix = os.getenv("KEY")

if prefix then
    local body = string.rep("x", tonumber(os.getenv("SIZE")))

    function init()
        local count = 0
        local headers = { ["popsim-store"] = "CACHE" }
        request = function()
            count = count + 1
            return wrk.format("PUT", "/" .. prefix .. number .. "-" .. count, headers, body)
        end
    end
end

local object = os.getenv("OBJECT")

if object then
    local body = string.rep("x", tonumber(os.getenv("SIZE")))

    function init()
        local count = 0
        request = function()
            count = count + 1
            local call = string.format('{"version":1,"method":"put","object":"%s%d-%d"}', object, number, count)
            local headers = { ["popsim-store"] = "ASSETS", ["CF-R2-Metadata-Size"] = tostring(#call) }
            return wrk.format("PUT", "/", headers, call .. body)
        end
    end
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "seconds": %.6f, "bytes": %d, "failed": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
        summary.requests, summary.duration / 1e6, summary.bytes,
        errors.connect + errors.read + errors.write + errors.timeout + errors.status,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
