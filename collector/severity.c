#include "collector/severity.h"

int64_t severity_number(struct str word)
{
    static const struct {
        struct str word;
        int64_t number;
    } words[] = {
        { STR_INIT("trace"), 1 },  { STR_INIT("debug"), 5 },     { STR_INIT("info"), 9 },
        { STR_INIT("notice"), 10 }, { STR_INIT("warn"), 13 },    { STR_INIT("warning"), 13 },
        { STR_INIT("err"), 17 },   { STR_INIT("error"), 17 },    { STR_INIT("crit"), 18 },
        { STR_INIT("critical"), 18 }, { STR_INIT("alert"), 19 }, { STR_INIT("fatal"), 21 },
        { STR_INIT("emerg"), 21 }, { STR_INIT("panic"), 21 },
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (str_ieq(word, words[i].word))
            return words[i].number;
    return 0;
}
