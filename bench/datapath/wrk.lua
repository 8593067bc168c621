-- Requests made once, sent in the given order: nothing is built while the clock runs. wrk … URL -- CREDENTIALS ORDER HEADER PREFIX
local requests, order, at = {}, {}, 0

function init(args)
  local name, prefix = args[3], args[4] == "-" and "" or args[4] .. " "
  for line in io.lines(args[1]) do
    local tenant, credential = line:match("^(%S+) (%S+)$")
    local headers = { ["Host"] = "app.bench.example", ["User-Agent"] = "bench/1", ["Accept"] = "application/json" }
    if name ~= "-" then headers[name] = prefix .. credential end
    local path = name == "-" and "/items" or "/t/" .. tenant .. "/items"
    requests[#requests + 1] = wrk.format("GET", path, headers)
  end
  for line in io.lines(args[2]) do order[#order + 1] = tonumber(line) + 1 end
  io.stderr:write("ready\n")
end

function request()
  at = at % #order + 1
  return requests[order[at]]
end

function done(summary)
  local e = summary.errors
  io.write(string.format('RESULT {"requests":%d,"tookUs":%d,"refused":%d,"failed":%d}\n',
    summary.requests, summary.duration, e.status, e.connect + e.read + e.write + e.timeout))
end
