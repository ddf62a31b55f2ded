# The log lines of one trace or one correlation id, one to a line, oldest first as they came:
#   jq -c --arg id ID -f deploy/lines.jq FILE
# FILE is the collector's, whose lines are batches of many processes' records, or what a process wrote to stdout.

def value: to_entries[0].value;

def records:
  if has("resourceLogs") then
    .resourceLogs[]
    | (.resource.attributes | map({(.key): (.value | value)}) | add) as $resource
    | .scopeLogs[].logRecords[]
    | {
        time: (.timeUnixNano | tonumber / 1e9 | todate),
        level: .severityText,
        event: (.body | value),
        trace_id: .traceId,
        role: $resource["relevo.role"],
        instance: $resource["service.instance.id"]
      } + ([.attributes[]? | {(.key): (.value | value)}] | add)
  else . end;

records | select(.trace_id == $id or .correlation_id == $id)
