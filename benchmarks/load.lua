-- Load for `wrk`: each request is the next of those in the file that REQUESTS names, and the result
-- is one line of JSON. `%d` in a request's body becomes a number that no other request has.
local requests, next_request, counter = {}, 0, os.time() * 1000

function init(arguments)
    for line in io.lines(arguments[1]) do
        local method, path, token, content_type, body = line:match("^(.-)\t(.-)\t(.-)\t(.-)\t(.*)$")
        local headers = {}
        if token ~= "" then headers["Authorization"] = "Bearer " .. token end
        if content_type ~= "" then headers["Content-Type"] = content_type end
        requests[#requests + 1] = {
            method = method, path = path, headers = headers, body = body ~= "" and body or nil,
            text = wrk.format(method, path, headers, body ~= "" and body or nil),
        }
    end
end

function request()
    next_request = next_request % #requests + 1
    local chosen = requests[next_request]
    if chosen.body and chosen.body:find("%%d") then
        counter = counter + 1
        return wrk.format(chosen.method, chosen.path, chosen.headers, chosen.body:gsub("%%d", counter), nil)
    end
    return chosen.text
end

function done(summary, latency)
    local errors = summary.errors
    io.write(string.format(
        '{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, "max": %d, "rejected": %d, "failed": %d}\n',
        summary.requests, summary.duration, latency:percentile(50), latency:percentile(99), latency.max,
        errors.status, errors.connect + errors.read + errors.write + errors.timeout
    ))
end
