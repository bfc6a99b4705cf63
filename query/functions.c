/* functions.c: the table of all functions: what they take, what they give, who evaluates them. */
#include "query/function-internal.h"

#define S PROMQL_SCALAR
#define T PROMQL_STRING
#define V PROMQL_VECTOR
#define M PROMQL_MATRIX
#define ANY FUNCTION_ANY

#define NAMED(n) .name = STR_INIT(#n)
/* Names, how many in the list, least and most given, and the list itself. */
#define TAKES(count, least, most, ...) .args = { __VA_ARGS__ }, .nargs = (count), .min = (least), .max = (most)
#define MAP(n, ...) { NAMED(n), __VA_ARGS__, .returns = V, .kind = FUNCTION_MAP, .map = fn_##n }
#define MATH(n) MAP(n, TAKES(1, 1, 1, V))
#define DATE(n) MAP(n, TAKES(1, 0, 1, V), .defaults_to_time = true)
#define WINDOW(n, ...) { NAMED(n), __VA_ARGS__, .returns = V, .kind = FUNCTION_WINDOW, .window = fn_##n }
#define OVER_TIME(n, ...) WINDOW(n, TAKES(1, 1, 1, M), __VA_ARGS__)
/* All windows at once: where they overlap (SLIDES), or always (SWEEPS). */
#define SLIDES(n) .sweep = sweep_##n
#define SWEEPS(n) .sweep = sweep_##n, .always_sweeps = true
#define SCALAR(n, ...) { NAMED(n), __VA_ARGS__, .returns = S, .kind = FUNCTION_SCALAR, .scalar = fn_##n }
#define STREAM(n, ...) { NAMED(n), __VA_ARGS__, .returns = V, .kind = FUNCTION_STREAM, .stream = fn_##n }
/* Native histograms have no samples of their own kind in the store, and floats give nothing here. */
#define NATIVE(n) { NAMED(n), TAKES(1, 1, 1, V), .returns = V, .kind = FUNCTION_MAP, .map = fn_none }

/* In the order of their names: function_find halves. */
static const struct function functions[] = {
    MATH(abs),
    STREAM(absent, TAKES(1, 1, 1, V)),
    STREAM(absent_over_time, TAKES(1, 1, 1, M)),
    MATH(acos),
    MATH(acosh),
    MATH(asin),
    MATH(asinh),
    MATH(atan),
    MATH(atanh),
    OVER_TIME(avg_over_time, SLIDES(avg_over_time)),
    MATH(ceil),
    WINDOW(changes, TAKES(1, 1, 1, M), SWEEPS(changes), .anchored = true),
    MAP(clamp, TAKES(3, 3, 3, V, S, S)),
    MAP(clamp_max, TAKES(2, 2, 2, V, S)),
    MAP(clamp_min, TAKES(2, 2, 2, V, S)),
    MATH(cos),
    MATH(cosh),
    OVER_TIME(count_over_time, SWEEPS(count_over_time)),
    DATE(day_of_month),
    DATE(day_of_week),
    DATE(day_of_year),
    DATE(days_in_month),
    MATH(deg),
    WINDOW(delta, TAKES(1, 1, 1, M), SWEEPS(delta), .extrapolates = true, .anchored = true, .smoothed = true),
    WINDOW(deriv, TAKES(1, 1, 1, M)),
    WINDOW(double_exponential_smoothing, TAKES(3, 3, 3, M, S, S)),
    SCALAR(end, TAKES(0, 0, 0, S), .is_keyword = true),
    MATH(exp),
    WINDOW(first_over_time, TAKES(1, 1, 1, M), SWEEPS(first_over_time), .keeps_name = true),
    MATH(floor),
    NATIVE(histogram_avg),
    NATIVE(histogram_count),
    STREAM(histogram_fraction, TAKES(3, 3, 3, S, S, V)),
    STREAM(histogram_quantile, TAKES(2, 2, 2, S, V)),
    STREAM(histogram_quantiles, TAKES(3, 3, ANY, V, T, S)),
    NATIVE(histogram_stddev),
    NATIVE(histogram_stdvar),
    NATIVE(histogram_sum),
    DATE(hour),
    OVER_TIME(idelta, SWEEPS(idelta)),
    WINDOW(increase, TAKES(1, 1, 1, M), SWEEPS(rate), .extrapolates = true, .anchored = true, .smoothed = true, .wants_drops = true, .of_counter = true),
    STREAM(info, TAKES(2, 1, 2, V, V), .selects_labels = true),
    WINDOW(irate, TAKES(1, 1, 1, M), SWEEPS(irate)),
    STREAM(label_join, TAKES(4, 3, ANY, V, T, T, T)),
    STREAM(label_replace, TAKES(5, 5, 5, V, T, T, T, T)),
    WINDOW(last_over_time, TAKES(1, 1, 1, M), SWEEPS(last_over_time), .keeps_name = true),
    MATH(ln),
    MATH(log10),
    MATH(log2),
    WINDOW(mad_over_time, TAKES(1, 1, 1, M)),
    SCALAR(max_of, TAKES(2, 2, 2, S, S), .in_durations = true, .is_keyword = true),
    OVER_TIME(max_over_time, SLIDES(max_over_time)),
    SCALAR(min_of, TAKES(2, 2, 2, S, S), .in_durations = true, .is_keyword = true),
    OVER_TIME(min_over_time, SLIDES(min_over_time)),
    DATE(minute),
    DATE(month),
    SCALAR(pi, TAKES(0, 0, 0, S)),
    WINDOW(predict_linear, TAKES(2, 2, 2, M, S)),
    OVER_TIME(present_over_time, SWEEPS(present_over_time)),
    WINDOW(quantile_over_time, TAKES(2, 2, 2, S, M)),
    MATH(rad),
    SCALAR(range, TAKES(0, 0, 0, S), .in_durations = true, .is_keyword = true),
    WINDOW(rate, TAKES(1, 1, 1, M), SWEEPS(rate), .per_second = true, .extrapolates = true, .anchored = true, .smoothed = true, .wants_drops = true, .of_counter = true),
    WINDOW(resets, TAKES(1, 1, 1, M), SWEEPS(resets), .anchored = true, .wants_drops = true),
    MAP(round, TAKES(2, 1, 2, V, S)),
    SCALAR(scalar, TAKES(1, 1, 1, V)),
    MATH(sgn),
    MATH(sin),
    MATH(sinh),
    STREAM(sort, TAKES(1, 1, 1, V)),
    STREAM(sort_by_label, TAKES(2, 1, ANY, V, T)),
    STREAM(sort_by_label_desc, TAKES(2, 1, ANY, V, T)),
    STREAM(sort_desc, TAKES(1, 1, 1, V)),
    MATH(sqrt),
    SCALAR(start, TAKES(0, 0, 0, S), .is_keyword = true),
    NATIVE(start_timestamp), /* no sample has one here */
    OVER_TIME(stddev_over_time, SLIDES(stddev_over_time)),
    OVER_TIME(stdvar_over_time, SLIDES(stdvar_over_time)),
    SCALAR(step, TAKES(0, 0, 0, S), .in_durations = true, .is_keyword = true),
    OVER_TIME(sum_over_time, SLIDES(sum_over_time)),
    MATH(tan),
    MATH(tanh),
    SCALAR(time, TAKES(0, 0, 0, S)),
    STREAM(timestamp, TAKES(1, 1, 1, V)),
    OVER_TIME(ts_of_first_over_time, SWEEPS(ts_of_first_over_time)),
    OVER_TIME(ts_of_last_over_time, SWEEPS(ts_of_last_over_time)),
    OVER_TIME(ts_of_max_over_time, SLIDES(ts_of_max_over_time)),
    OVER_TIME(ts_of_min_over_time, SLIDES(ts_of_min_over_time)),
    STREAM(vector, TAKES(1, 1, 1, S)),
    DATE(year),
};

const struct function *function_find(struct str name)
{
    size_t lo = 0, hi = sizeof(functions) / sizeof(functions[0]);

    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        int c = str_cmp(name, functions[mid].name);

        if (c == 0)
            return &functions[mid];
        if (c < 0)
            hi = mid;
        else
            lo = mid + 1;
    }
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
        if (functions[i].is_keyword && str_ieq(name, functions[i].name))
            return &functions[i];
    return NULL;
}
