#include "base/mem.h"
#include "base/rand.h"
#include "tests/unit/query/promql_script.h"

static const char *const scripts[] = {
    /* Instant selectors: left-open lookback, stale markers, gaps, offset and @. */
    "load 1m\n"
    "  up{job=\"a\"} 1 2 3 _ 5 stale _ 8\n"
    "at 2m up\n"
    "  up{job=\"a\"} 3\n"
    "at 3m30s up\n"
    "  up{job=\"a\"} 3\n"
    "at 6m up\n"
    "at 12m up\n"
    "at 11m59s up\n"
    "  up{job=\"a\"} 8\n"
    "at 4m up offset 2m\n"
    "  up{job=\"a\"} 3\n"
    "at 0s up offset -4m\n"
    "  up{job=\"a\"} 5\n"
    "at 0s up @ 60\n"
    "  up{job=\"a\"} 2\n"
    "at 0s up @ 2m offset 1m\n"
    "  up{job=\"a\"} 2\n"
    "from 0 to 4m step 1m up @ end()\n"
    "  up{job=\"a\"} 5 5 5 5 5\n"
    "from 0 to 8m step 1m up\n"
    "  up{job=\"a\"} 1 2 3 3 5 _ _ 8 8\n"
    "at 2m30s timestamp(up)\n"
    "  {job=\"a\"} 120\n"
    "at 2m30s timestamp(up * 1)\n"
    "  {job=\"a\"} 150\n"
    "at 8m up[4m]\n"
    "  up{job=\"a\"} 8\n",

    /* Rates: extrapolation, the limit at zero, resets, one sample. */
    "load 30s\n"
    "  req_total{path=\"/a\"} 0+30x20\n"
    "  req_total{path=\"/b\"} 0 10 20 5 15 25\n"
    "at 10m rate(req_total[5m])\n"
    "  {path=\"/a\"} 1\n"
    "at 10m increase(req_total{path=\"/a\"}[5m])\n"
    "  {path=\"/a\"} 300\n"
    "at 2m30s increase(req_total{path=\"/b\"}[2m30s])\n"
    "  {path=\"/b\"} 43.75\n"
    "at 2m30s irate(req_total[1m])\n"
    "  {path=\"/a\"} 1\n"
    "  {path=\"/b\"} 0.3333333333333333\n"
    "at 90s irate(req_total{path=\"/b\"}[1m])\n"
    "  {path=\"/b\"} 0.16666666666666666\n"
    "at 1m rate(req_total[30s])\n"
    "at 2m30s resets(req_total[5m])\n"
    "  {path=\"/a\"} 0\n"
    "  {path=\"/b\"} 1\n"
    "at 2m30s changes(req_total[1m30s])\n"
    "  {path=\"/a\"} 2\n"
    "  {path=\"/b\"} 2\n"
    "from 1m to 3m step 1m sum(rate(req_total{path=\"/a\"}[1m]))\n"
    "  {} 1 1 1\n",

    /* Anchored windows count exactly: the last sample at or before the start is where counting begins. */
    "load 10s\n"
    "  hits_total 0 3 3 7 12 1 4 4 4\n"
    "  late_total _ _ _ 2 5 5 9 9 9\n"
    "at 40s increase(hits_total[30s] anchored)\n"
    "  {} 9\n"
    "at 45s increase(hits_total[30s] anchored)\n"
    "  {} 9\n"
    "at 80s increase(hits_total[1m] anchored)\n"
    "  {} 13\n"
    "at 80s increase(hits_total[5m] anchored)\n"
    "  {} 16\n"
    "at 80s rate(hits_total[1m] anchored)\n"
    "  {} 0.21666666666666667\n"
    "at 80s increase(late_total[1m] anchored)\n"
    "  {} 7\n"
    "at 80s increase(hits_total[10s] anchored)\n"
    "  {} 0\n"
    "at 95s increase(hits_total[10s] anchored)\n"
    "at 80s delta(hits_total[1m] anchored)\n"
    "  {} 1\n"
    "at 80s resets(hits_total[1m] anchored)\n"
    "  {} 1\n"
    "from 30s to 80s step 10s increase(hits_total[10s] anchored)\n"
    "  {} 4 5 1 3 0 0\n"
    "at 40s sum(increase({__name__=~\".+_total\"}[30s] anchored))\n"
    "  {} 12\n"
    "at 45s hits_total smoothed\n"
    "  hits_total 6.5\n"
    "at 45s max_over_time(hits_total[30s] anchored)\n"
    "  fails: anchored modifier can only be used with: changes, delta, increase, rate, resets\n",

    /* *_over_time. */
    "load 1m\n"
    "  temp{room=\"x\"} 3 1 4 1 5 9 2 6\n"
    "at 7m sum_over_time(temp[4m])\n"
    "  {room=\"x\"} 22\n"
    "at 7m avg_over_time(temp[4m])\n"
    "  {room=\"x\"} 5.5\n"
    "at 7m min_over_time(temp[4m])\n"
    "  {room=\"x\"} 2\n"
    "at 7m max_over_time(temp[4m])\n"
    "  {room=\"x\"} 9\n"
    "at 7m count_over_time(temp[4m])\n"
    "  {room=\"x\"} 4\n"
    "at 7m last_over_time(temp[4m])\n"
    "  temp{room=\"x\"} 6\n"
    "at 7m first_over_time(temp[4m])\n"
    "  temp{room=\"x\"} 5\n"
    "at 7m quantile_over_time(0.5, temp[4m])\n"
    "  {room=\"x\"} 5.5\n"
    "at 7m quantile_over_time(2, temp[4m])\n"
    "  {room=\"x\"} Inf\n"
    "  warns: quantile value should be between 0 and 1, got 2 (1:20)\n"
    "at 7m stddev_over_time(temp[2m])\n"
    "  {room=\"x\"} 2\n"
    "at 7m stdvar_over_time(temp[2m])\n"
    "  {room=\"x\"} 4\n"
    "at 7m present_over_time(temp[2m])\n"
    "  {room=\"x\"} 1\n"
    "at 7m mad_over_time(temp[4m])\n"
    "  {room=\"x\"} 2\n"
    "at 7m ts_of_max_over_time(temp[4m])\n"
    "  {room=\"x\"} 300\n"
    "at 7m deriv(temp[2m])\n"
    "  {room=\"x\"} 0.06666666666666667\n"
    "at 7m predict_linear(temp[2m], 60)\n"
    "  {room=\"x\"} 10\n"
    "at 7m max_over_time((temp * 2)[4m:1m])\n"
    "  {room=\"x\"} 18\n"
    "at 7m sum_over_time(temp[4m:2m] offset 1m)\n"
    "  {room=\"x\"} 7\n"
    "at 7m double_exponential_smoothing(temp[4m], 2, 0.5)\n"
    "  fails: invalid smoothing factor. Expected: 0 < sf < 1\n"
    "at 7m rate(temp[4m])\n"
    "  {room=\"x\"} 0.05555555555555555\n"
    "  info: metric might not be a counter, name does not end in _total/_sum/_count/_bucket: \"temp\" (1:6)\n",

    /* Aggregations. */
    "load 1m\n"
    "  cpu{host=\"a\", core=\"0\"} 1\n"
    "  cpu{host=\"a\", core=\"1\"} 3\n"
    "  cpu{host=\"b\", core=\"0\"} 5\n"
    "  cpu{host=\"b\", core=\"1\"} NaN\n"
    "at 0s sum by (host) (cpu{core=\"0\"})\n"
    "  {host=\"a\"} 1\n"
    "  {host=\"b\"} 5\n"
    "at 0s sum(cpu) without (core)\n"
    "  {host=\"a\"} 4\n"
    "  {host=\"b\"} NaN\n"
    "at 0s max(cpu) by (host)\n"
    "  {host=\"a\"} 3\n"
    "  {host=\"b\"} 5\n"
    "at 0s min(cpu)\n"
    "  {} 1\n"
    "at 0s avg(cpu{host=\"a\"})\n"
    "  {} 2\n"
    "at 0s count(cpu)\n"
    "  {} 4\n"
    "at 0s group by (host) (cpu)\n"
    "  {host=\"a\"} 1\n"
    "  {host=\"b\"} 1\n"
    "at 0s stddev(cpu{host=\"a\"})\n"
    "  {} 1\n"
    "at 0s stdvar(cpu{host=\"a\"})\n"
    "  {} 1\n"
    "at 0s topk(2, cpu)\n"
    "  ordered\n"
    "  cpu{host=\"b\", core=\"0\"} 5\n"
    "  cpu{host=\"a\", core=\"1\"} 3\n"
    "at 0s bottomk(3, cpu)\n"
    "  ordered\n"
    "  cpu{host=\"a\", core=\"0\"} 1\n"
    "  cpu{host=\"a\", core=\"1\"} 3\n"
    "  cpu{host=\"b\", core=\"0\"} 5\n"
    "at 0s topk by (host) (1, cpu)\n"
    "  cpu{host=\"a\", core=\"1\"} 3\n"
    "  cpu{host=\"b\", core=\"0\"} 5\n"
    "at 0s topk(scalar(absent_metric), cpu)\n"
    "  fails: Parameter value is NaN\n"
    "at 0s quantile(0.5, cpu{host=\"a\"})\n"
    "  {} 2\n"
    "at 0s count_values(\"value\", cpu)\n"
    "  {value=\"1\"} 1\n"
    "  {value=\"3\"} 1\n"
    "  {value=\"5\"} 1\n"
    "  {value=\"NaN\"} 1\n"
    "at 0s limitk(1, cpu)\n"
    "  cpu{host=\"a\", core=\"0\"} 1\n"
    "at 0s sort_desc(cpu)\n"
    "  ordered\n"
    "  cpu{host=\"b\", core=\"0\"} 5\n"
    "  cpu{host=\"a\", core=\"1\"} 3\n"
    "  cpu{host=\"a\", core=\"0\"} 1\n"
    "  cpu{host=\"b\", core=\"1\"} NaN\n",

    /* Sums that would lose digits, and means that would overflow. */
    "load 1m\n"
    "  big{n=\"1\"} 1e100\n"
    "  big{n=\"2\"} 1\n"
    "  big{n=\"3\"} -1e100\n"
    "  huge{n=\"1\"} 1.7e308\n"
    "  huge{n=\"2\"} 1.7e308\n"
    "at 0s sum(big)\n"
    "  {} 1\n"
    "at 0s avg(huge)\n"
    "  {} 1.7e308\n",

    /* Operators between vectors. */
    "load 1m\n"
    "  errors{svc=\"a\", code=\"500\"} 5\n"
    "  errors{svc=\"a\", code=\"503\"} 1\n"
    "  errors{svc=\"b\", code=\"500\"} 2\n"
    "  calls{svc=\"a\"} 100\n"
    "  calls{svc=\"b\"} 50\n"
    "  calls{svc=\"c\"} 7\n"
    "  info{svc=\"a\", version=\"v1\"} 1\n"
    "  info{svc=\"b\", version=\"v2\"} 1\n"
    "at 0s errors / on(svc) group_left calls\n"
    "  {svc=\"a\", code=\"500\"} 0.05\n"
    "  {svc=\"a\", code=\"503\"} 0.01\n"
    "  {svc=\"b\", code=\"500\"} 0.04\n"
    "at 0s calls * on(svc) group_left(version) info\n"
    "  {svc=\"a\", version=\"v1\"} 100\n"
    "  {svc=\"b\", version=\"v2\"} 50\n"
    "at 0s info * on(svc) group_right(version) calls\n"
    "  {svc=\"a\", version=\"v1\"} 100\n"
    "  {svc=\"b\", version=\"v2\"} 50\n"
    "at 0s errors / on(svc) calls\n"
    "  fails: multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)\n"
    "at 0s calls / on(svc) errors\n"
    "  fails: found duplicate series for the match group {svc=\"a\"} on the right hand-side of the operation: "
    "[{__name__=\"errors\", code=\"500\", svc=\"a\"}, {__name__=\"errors\", code=\"503\", svc=\"a\"}]\n"
    "at 0s calls > 60\n"
    "  calls{svc=\"a\"} 100\n"
    "at 0s 60 < calls\n"
    "  calls{svc=\"a\"} 100\n"
    "at 0s calls > bool 60\n"
    "  {svc=\"a\"} 1\n"
    "  {svc=\"b\"} 0\n"
    "  {svc=\"c\"} 0\n"
    "at 0s calls and on(svc) info\n"
    "  calls{svc=\"a\"} 100\n"
    "  calls{svc=\"b\"} 50\n"
    "at 0s calls unless on(svc) info\n"
    "  calls{svc=\"c\"} 7\n"
    "at 0s sum by (svc) (errors) or sum by (svc) (calls)\n"
    "  {svc=\"a\"} 6\n"
    "  {svc=\"b\"} 2\n"
    "  {svc=\"c\"} 7\n"
    "at 0s sum(no_such) or vector(0)\n"
    "  {} 0\n"
    "at 0s calls - ignoring(version) info\n"
    "  {svc=\"a\"} 99\n"
    "  {svc=\"b\"} 49\n"
    "at 0s calls + fill_right(0) ignoring(version) info\n"
    "  fails: parse error\n"
    "at 0s calls + ignoring(version) fill_right(0) info\n"
    "  {svc=\"a\"} 101\n"
    "  {svc=\"b\"} 51\n"
    "  {svc=\"c\"} 7\n"
    "at 0s -calls{svc=\"c\"} ^ 2\n"
    "  {svc=\"c\"} -49\n"
    "at 0s 7 % 4 + 2 ^ 3 ^ 2\n"
    "  {} 515\n"
    "at 0s label_replace(calls, \"svc\", \"x\", \"\", \"\")\n"
    "  fails: vector cannot contain metrics with the same labelset\n"
    "at 0s abs(calls) or abs(errors{code=\"500\", svc=\"b\"})\n"
    "  {svc=\"a\"} 100\n"
    "  {svc=\"b\"} 50\n"
    "  {svc=\"c\"} 7\n"
    "  {svc=\"b\", code=\"500\"} 2\n",

    /* Two series take turns as the one side. */
    "load 1m\n"
    "  left{x=\"1\"} 10 20 30\n"
    "  right{x=\"1\", inst=\"old\"} 1 stale\n"
    "  right{x=\"1\", inst=\"new\"} _ 2 3\n"
    "from 0 to 2m step 1m left * on(x) group_left(inst) right\n"
    "  {x=\"1\", inst=\"old\"} 10 _ _\n"
    "  {x=\"1\", inst=\"new\"} _ 40 90\n"
    "from 0 to 2m step 1m left * on(x) right\n"
    "  {x=\"1\"} 10 40 90\n",

    /* Classic histograms. */
    "load 1m\n"
    "  lat_bucket{le=\"10\"} 10\n"
    "  lat_bucket{le=\"20\"} 30\n"
    "  lat_bucket{le=\"+Inf\"} 40\n"
    "  odd_bucket{le=\"1\"} 5\n"
    "  odd_bucket{le=\"2\"} 4\n"
    "  odd_bucket{le=\"+Inf\"} 6\n"
    "  bad_bucket 5\n"
    "at 0s histogram_quantile(0.5, lat_bucket)\n"
    "  {} 15\n"
    "at 0s histogram_quantile(0.9, lat_bucket)\n"
    "  {} 20\n"
    "at 0s histogram_quantile(0.125, lat_bucket)\n"
    "  {} 5\n"
    "at 0s histogram_quantile(-1, lat_bucket)\n"
    "  {} -Inf\n"
    "  warns: quantile value should be between 0 and 1, got -1 (1:20)\n"
    "at 0s histogram_quantile(0.5, odd_bucket)\n"
    "  {} 0.6\n"
    "  info: input to histogram_quantile needed to be fixed for monotonicity\n"
    "at 0s histogram_quantile(0.5, bad_bucket)\n"
    "  warns: bucket label \"le\" is missing or has a malformed value of \"\" for metric name \"bad_bucket\" (1:25)\n"
    "at 0s histogram_fraction(0, 15, lat_bucket)\n"
    "  {} 0.5\n"
    "at 0s histogram_quantile(0.5, sum by (le) (lat_bucket))\n"
    "  {} 15\n",

    /* Labels, presence, numbers, dates. */
    "load 1m\n"
    "  pods{name=\"web-12\", ns=\"shop\"} -1.5\n"
    "at 0s label_replace(pods, \"app\", \"$1:${num}\", \"name\", \"([a-z]+)-(?P<num>[0-9]+)\")\n"
    "  pods{name=\"web-12\", ns=\"shop\", app=\"web:12\"} -1.5\n"
    "at 0s label_replace(pods, \"ns\", \"\", \"name\", \"web.*\")\n"
    "  pods{name=\"web-12\"} -1.5\n"
    "at 0s label_replace(pods, \"app\", \"x\", \"name\", \"web\")\n"
    "  pods{name=\"web-12\", ns=\"shop\"} -1.5\n"
    "at 0s label_replace(pods, \"app\", \"x\", \"name\", \"(\")\n"
    "  fails: invalid regular expression in label_replace()\n"
    "at 0s label_replace(abs(pods), \"__name__\", \"kept\", \"\", \"\")\n"
    "  kept{name=\"web-12\", ns=\"shop\"} 1.5\n"
    "at 0s label_join(pods, \"id\", \"/\", \"ns\", \"name\")\n"
    "  pods{name=\"web-12\", ns=\"shop\", id=\"shop/web-12\"} -1.5\n"
    "at 0s absent(pods)\n"
    "at 0s absent(cats{ns=\"shop\", name=~\"x\", a=\"1\", a=\"2\"})\n"
    "  {ns=\"shop\"} 1\n"
    "at 10m absent_over_time(pods[5m])\n"
    "  {} 1\n"
    "from 0 to 10m step 5m absent(pods)\n"
    "  {} _ 1 1\n"
    "at 0s abs(pods) + ceil(pods) + floor(pods) + round(pods) + sgn(pods)\n"
    "  {name=\"web-12\", ns=\"shop\"} -3.5\n"
    "at 0s clamp(pods, 0, 5)\n"
    "  {name=\"web-12\", ns=\"shop\"} 0\n"
    "at 0s clamp(pods, 5, 0)\n"
    "at 0s clamp_min(pods, -1) + clamp_max(pods, -2)\n"
    "  {name=\"web-12\", ns=\"shop\"} -3\n"
    "at 0s round(pods, 0.4)\n"
    "  {name=\"web-12\", ns=\"shop\"} -1.6\n"
    "at 0s scalar(pods) + scalar(cats)\n"
    "  {} NaN\n"
    "at 1m time()\n"
    "  {} 60\n"
    "at 0s vector(1) == bool 1\n"
    "  {} 1\n"
    "at 0s year(vector(1582934400)) * 10000 + month(vector(1582934400)) * 100 + day_of_month(vector(1582934400))\n"
    "  {} 20200229\n"
    "at 0s days_in_month(vector(1582934400)) + day_of_week(vector(1582934400)) + hour() + day_of_year()\n"
    "  {} 36\n"
    "from 0 to 10m step 5m step() + range()\n"
    "  {} 900 900 900\n"
    "at 0s {\"pods\", \"ns\"=\"shop\"}\n"
    "  pods{name=\"web-12\", ns=\"shop\"} -1.5\n",

    /* info(): labels of the info series with the same instance and job, the newest of them at each step. */
    "load 1m\n"
    "  req{instance=\"a\", job=\"j\", v=\"own\"} 1 2 3 4\n"
    "  req{instance=\"b\", job=\"j\"} 5 6 7 8\n"
    "  req{job=\"k\"} 9\n"
    "  target_info{instance=\"a\", job=\"j\", v=\"1\", os=\"x\"} 1 1 1 1\n"
    "  target_info{instance=\"b\", job=\"j\", v=\"2\"} 1 1 stale\n"
    "  target_info{instance=\"b\", job=\"j\", v=\"3\"} _ _ 1 1\n"
    "  target_info{job=\"k\", v=\"4\"} 1\n"
    "  host_info{instance=\"a\", job=\"j\", os=\"y\", rack=\"7\"} 1 1 1 1\n"
    "at 0s info(req)\n"
    "  req{instance=\"a\", job=\"j\", os=\"x\", v=\"own\"} 1\n"
    "  req{instance=\"b\", job=\"j\", v=\"2\"} 5\n"
    "  req{job=\"k\"} 9\n"
    "at 0s info(req{job=\"k\"})\n"
    "  req{job=\"k\", v=\"4\"} 9\n"
    "from 1m to 3m step 1m info(req{instance=\"b\"}, {v=~\".+\"})\n"
    "  req{instance=\"b\", job=\"j\", v=\"2\"} 6 _ _\n"
    "  req{instance=\"b\", job=\"j\", v=\"3\"} _ 7 8\n"
    "at 3m info(req{instance=\"a\"}, {os=\"z\"})\n"
    "at 3m info(req{instance=\"a\"}, {__name__!=\"target_info\", rack!=\"\"})\n"
    "  req{instance=\"a\", job=\"j\", rack=\"7\", v=\"own\"} 4\n"
    "at 3m info(req{instance=\"a\"}, {__name__=~\".+_info\"})\n"
    "  fails: conflicting label: os\n"
    "at 3m info(sum by (instance, job) (req offset 2m), {})\n"
    "  {instance=\"a\", job=\"j\", os=\"x\", v=\"1\"} 2\n"
    "  {instance=\"b\", job=\"j\", v=\"2\"} 6\n"
    "  {job=\"k\"} 9\n"
    "at 3m info(target_info{v=\"3\"})\n"
    "  target_info{instance=\"b\", job=\"j\", v=\"3\"} 1\n"
    "at 1m info(req{instance=\"b\"}, up)\n"
    "  fails: 1:25: parse error: expected label selectors only, got vector selector instead\n",
    "load 1m\n"
    "  req{instance=\"a\"} 1\n"
    "  target_info{instance=\"a\", v=\"2\"} 1\n"
    "  target_info{instance=\"a\", v=\"1\"} 1\n"
    "at 0s info(req)\n"
    "  fails: found duplicate series for info metric: existing {__name__=\"target_info\", instance=\"a\", v=\"1\"} @ 0\n",

    /* Names: arithmetic drops them at once, and group_left may bring one in. */
    "load 1m\n"
    "  many{a=\"x\", b=\"1\"} 6\n"
    "  many{a=\"x\", b=\"2\"} 8\n"
    "  one{a=\"x\"} 2\n"
    "  two{a=\"x\", b=\"1\"} 3\n"
    "at 0s many / on (a) group_left (__name__) one\n"
    "  one{a=\"x\", b=\"1\"} 3\n"
    "  one{a=\"x\", b=\"2\"} 4\n"
    "at 0s {__name__=~\"many|two\"} * on (a) group_left one\n"
    "  fails: multiple matches for labels: grouping labels must ensure unique matches\n"
    "at 0s label_replace(many * on (a) group_left one, \"n\", \"$1\", \"__name__\", \"(.+)\")\n"
    "  {a=\"x\", b=\"1\"} 12\n"
    "  {a=\"x\", b=\"2\"} 16\n"
    "at 0s many </ 3\n"
    "  info: incompatible sample types encountered for binary operator \"</\": float </ float (1:1)\n"
    "at 0s count_values without (b) (\"b\", many)\n"
    "  {a=\"x\"} 2\n"
    "at 0s absent(none{a=~\"x\", a=\"y\", b=\"1\", b=\"2\", c=\"3\"})\n"
    "  {a=\"y\", c=\"3\"} 1\n"
    "at 0s start_timestamp(many)\n"
    "at 0s label_replace(many, \"x\", \"$1\", \"a\", \"(\")\n"
    "  fails: invalid regular expression in label_replace(): (\n",

    /* What is said beside the answer: each text once, with the place of the last. */
    "load 1m\n"
    "  gauge 1 2 3 2 NaN\n"
    "  lat_bucket{le=\"1\"} 5 5 5 5\n"
    "  lat_bucket{le=\"2\"} 3 4 4 4\n"
    "  lat_bucket{le=\"+Inf\"} 9 9 9 9\n"
    "at 2m rate(gauge[2m]) + rate(gauge[3m])\n"
    "  {} 0.03333333333333333\n"
    "  info: \"gauge\" (1:24)\n"
    "at 2m irate(gauge[3m])\n"
    "  {} 0.016666666666666666\n"
    "from 0 to 1m step 1m histogram_quantile(0.9, lat_bucket)\n"
    "  {} 2 2\n"
    "  info: name \"lat_bucket\", from buckets 2 to 2, with a max diff of 2, over 2 samples from 1970-01-01T00:00:00Z to "
    "1970-01-01T00:01:00Z (1:25)\n"
    "from 0 to 1m step 1m sort(gauge)\n"
    "  gauge 1 2\n"
    "  warns: sort is ineffective for range queries since results are always ordered by labels (1:1)\n"
    "at 0s sort(gauge)\n"
    "  gauge 1\n"
    "from 0 to 2m step 1m quantile(time() / 60 + 0.5, gauge)\n"
    "  {} 1 Inf Inf\n"
    "  warns: quantile value should be between 0 and 1, got 2.5 (1:10)\n"
    "at 0s limitk(1e30, gauge)\n"
    "  fails: Scalar value 1e+30 overflows int64\n"
    "at 0s topk(-1e30, gauge)\n"
    "at 4m mad_over_time(gauge[3m])\n"
    "  {} NaN\n"
    "at 4m clamp_min(gauge, Inf)\n"
    "  {} Inf\n"
    "at 4m clamp_max(gauge, 7)\n"
    "  {} NaN\n"
    "at 0s max_of(NaN, Inf) + min_of(NaN, 1)\n"
    "  {} NaN\n",

    /* Smoothed instants look past stale markers, and smoothed windows need a sample inside of them or before. */
    "load 1m\n"
    "  m_total 1 stale 5 _ _ _ _ _ _ 9\n"
    "at 90s m_total smoothed\n"
    "  m_total 4\n"
    "at 90s m_total\n"
    "at 5m increase(m_total{x=\"\"}[1m] smoothed)\n"
    "  {} 0.5714285714285714\n",

    /* A range query for what has no steps is refused. */
    "from 0 to 1m step 1m up[1m]\n"
    "  fails: invalid expression type \"range vector\" for range query, must be Scalar or instant Vector\n"
    "at 0s up[0s]\n"
    "  fails: 1:4: parse error: duration must be greater than 0\n"
    "at 0s up[1s - 1s]\n"
    "  fails: duration must be greater than 0\n"
    "at 0s up offset 300y\n"
    "  fails: 1:11: parse error: duration out of range\n",
};

START_TEST(answers_as_written)
{
    script_run(scripts[_i]);
}
END_TEST

/* --- against a naive evaluator ----------------------------------------------------------------------------------- */

enum { SAMPLES = 240, SERIES = 6, GAP = 15000 };

struct counter {
    int64_t t[SAMPLES];
    double v[SAMPLES];
    size_t n;
};

/* Counters that grow, rest, restart and miss scrapes. */
static void make_counter(struct rng *r, struct counter *c)
{
    double v = (double)rng_below(r, 100);

    c->n = 0;
    for (int i = 0; i < SAMPLES; i++) {
        if (rng_below(r, 20) == 0)
            v = 0;
        v += rng_below(r, 3) ? (double)rng_below(r, 50) : 0;
        if (rng_below(r, 10) == 0)
            continue;
        c->t[c->n] = (int64_t)i * GAP + (int64_t)rng_below(r, 2000);
        c->v[c->n++] = v;
    }
}

/* The rule as the documentation tells it, sample by sample. False: fewer than two samples. */
static bool naive_increase(const struct counter *c, int64_t from, int64_t to, double *out)
{
    size_t first = SAMPLES, last = 0, n = 0;
    double sum = 0, start, end, average, sampled;

    for (size_t i = 0; i < c->n; i++)
        if (c->t[i] > from && c->t[i] <= to) {
            first = n++ ? first : i;
            last = i;
        }
    if (n < 2)
        return false;
    for (size_t i = first + 1; i <= last; i++)
        sum += c->v[i] >= c->v[i - 1] ? c->v[i] - c->v[i - 1] : c->v[i];
    sampled = (double)(c->t[last] - c->t[first]);
    average = sampled / (double)(n - 1);
    start = (double)(c->t[first] - from);
    end = (double)(to - c->t[last]);
    start = start < average * 1.1 ? start : average / 2;
    end = end < average * 1.1 ? end : average / 2;
    if (sum > 0 && c->v[first] >= 0 && sampled * c->v[first] / sum < start)
        start = sampled * c->v[first] / sum;
    *out = sum * (sampled + start + end) / sampled;
    return true;
}

/* The count since the last sample at or before `from`, in the lookback of 5 minutes. */
static bool naive_anchored(const struct counter *c, int64_t from, int64_t to, double *out)
{
    size_t anchor = SAMPLES;
    double sum = 0;
    bool inside = false;

    for (size_t i = 0; i < c->n && c->t[i] <= to; i++) {
        if (c->t[i] <= from - 300000)
            continue;
        if (c->t[i] <= from || anchor == SAMPLES) {
            anchor = i;
            sum = 0;
        } else {
            sum += c->v[i] >= c->v[i - 1] ? c->v[i] - c->v[i - 1] : c->v[i];
        }
        inside |= c->t[i] > from;
    }
    *out = sum;
    return inside;
}

static void load_counters(struct script *sc, const struct counter *counters)
{
    struct batch b;
    struct err e = ERR_INIT;

    batch_init(&b, &sc->arena);
    for (size_t i = 0; i < SERIES; i++) {
        struct sample *s = arena_array(&sc->arena, SAMPLES, sizeof(*s));
        struct label *l = arena_array(&sc->arena, 2, sizeof(*l));
        struct batch_series bs = { .labels = { l, 2 }, .samples = s, .n = counters[i].n };

        l[0] = (struct label){ STR("__name__"), STR("c_total") };
        l[1] = (struct label){ STR("i"), arena_printf(&sc->arena, "%zu", i) };
        for (size_t k = 0; k < counters[i].n; k++)
            s[k] = (struct sample){ counters[i].t[k], counters[i].v[k] };
        ck_assert_int_eq(batch_add_series(&b, &bs), 0);
    }
    ck_assert_msg(store_commit(sc->st, &b, &e) == 0, "%s", e.msg);
}

typedef bool naive_fn(const struct counter *c, int64_t from, int64_t to, double *out);

/* The sum over all counters at each step of a range query, both ways. */
static void compare_sums(struct script *sc, const struct counter *counters, const char *query, naive_fn *naive,
                         double divisor)
{
    struct script_query q = { .text = str_of(query), .w = { 0, (int64_t)SAMPLES * GAP, 7000 } };
    size_t at = 0;

    script_ask(sc, &q);
    ck_assert_msg(q.value && q.value->n == 1, "%s: %s", query, q.e.msg);
    for (int64_t t = 0; t <= q.w.end_ms; t += q.w.step_ms) {
        double sum = 0, one;
        bool any = false;

        for (size_t i = 0; i < SERIES; i++)
            if (naive(&counters[i], t - 120000, t, &one)) {
                sum += one;
                any = true;
            }
        if (!any)
            continue;
        ck_assert_uint_lt(at, q.value->series[0].n);
        ck_assert_int_eq(q.value->series[0].t[at], t);
        ck_assert_msg(script_same(sum / divisor, q.value->series[0].v[at]), "%s at %lld: %.17g, want %.17g", query,
                      (long long)t, q.value->series[0].v[at], sum / divisor);
        at++;
    }
    ck_assert_uint_eq(at, q.value->series[0].n);
}

START_TEST(agrees_with_the_naive_evaluator)
{
    static struct counter counters[SERIES];
    struct rng r = { { 0x1234567 + (uint64_t)_i, 2, 3, 4 } };
    struct script sc;

    script_open(&sc, "random counters");
    for (size_t i = 0; i < SERIES; i++)
        make_counter(&r, &counters[i]);
    load_counters(&sc, counters);
    compare_sums(&sc, counters, "sum(increase(c_total[2m]))", naive_increase, 1);
    compare_sums(&sc, counters, "sum(rate(c_total[2m]))", naive_increase, 120);
    compare_sums(&sc, counters, "sum(increase(c_total[2m] anchored))", naive_anchored, 1);
    script_close(&sc);
}
END_TEST

/* --- bounds and failures ----------------------------------------------------------------------------------------- */

static const char *const heavy = "sum by (i) (rate(c_total[2m])) / on(i) group_left sum by (i) (c_total) "
                                 "or topk(2, label_replace(c_total, \"j\", \"$1\", \"i\", \"(.)\"))";

static int run_heavy(struct script *sc, const struct promql_limits *limits, size_t memory, struct err *e)
{
    struct arena a = ARENA_INIT(memory);
    struct promql_expr *x = promql_parse(&a, str_of(heavy), e);
    struct promql_value *v = NULL;

    if (x)
        v = promql_eval(sc->st, x, (struct promql_window){ 600000, 1200000, 60000 }, limits, &a, e);
    arena_free(&a);
    return v ? 0 : e->code;
}

START_TEST(stays_within_its_limits)
{
    static struct counter counters[SERIES];
    struct rng r = { { 1, 2, 3, 4 } };
    struct promql_limits few = { .max_samples = 100 };
    struct err e = ERR_INIT;
    struct script sc;

    script_open(&sc, "limits");
    for (size_t i = 0; i < SERIES; i++)
        make_counter(&r, &counters[i]);
    load_counters(&sc, counters);
    ck_assert_int_eq(run_heavy(&sc, NULL, 0, &e), 0);
    ck_assert_int_eq(run_heavy(&sc, &few, 0, &e), ERR_LIMIT);
    ck_assert_str_eq(e.msg, "query processing would load too many samples into memory in query execution");
    ck_assert_int_ne(run_heavy(&sc, NULL, 20000, &e), 0);
    for (long n = 1;; n++) {
        int rc;

        e = (struct err)ERR_INIT;
        mem_fail_at(n);
        rc = run_heavy(&sc, NULL, 0, &e);
        if (!mem_has_failed()) {
            mem_fail_at(0);
            ck_assert_int_eq(rc, 0);
            break;
        }
        mem_fail_at(0);
        ck_assert_msg(rc == 0 || e.msg[0], "allocation %ld: no message", n);
    }
    script_close(&sc);
}
END_TEST

START_TEST(ends_in_time)
{
    static struct counter counters[SERIES];
    struct rng r = { { 1, 2, 3, 4 } };
    struct promql_limits soon = { .timeout_ms = 1 };
    struct script_query q = { .text = STR("count_over_time(sum(c_total)[30d:1s])") };
    struct script sc;
    struct promql_expr *x;

    script_open(&sc, "timeout");
    for (size_t i = 0; i < SERIES; i++)
        make_counter(&r, &counters[i]);
    load_counters(&sc, counters);
    x = promql_parse(&sc.arena, q.text, &q.e);
    ck_assert_ptr_nonnull(x);
    ck_assert_ptr_null(promql_eval(sc.st, x, (struct promql_window){ 3600000, 3600000, 0 }, &soon, &sc.arena, &q.e));
    ck_assert_int_eq(q.e.code, ERR_TIMEOUT);
    ck_assert_str_eq(q.e.msg, "query timed out in expression evaluation");
    script_close(&sc);
}
END_TEST

static Suite *make_suite(void)
{
    Suite *s = suite_create("promql_eval");
    TCase *t = tcase_create("eval");

    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, answers_as_written, 0, COUNT(scripts));
    tcase_add_loop_test(t, agrees_with_the_naive_evaluator, 0, 4);
    tcase_add_test(t, stays_within_its_limits);
    tcase_add_test(t, ends_in_time);
    suite_add_tcase(s, t);
    return s;
}

UNIT_MAIN(make_suite)
