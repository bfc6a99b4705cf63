/* scrape_config.h: what to scrape, in prometheus.yml's own words.
 *
 * Reads `global`, `scrape_configs` and `scrape_config_files` of a file's root; all else in it is left to others. As in
 * Prometheus, paths inside are relative to the file's folder. Discovery is offered by static_configs, file_sd_configs
 * and http_sd_configs; another *_sd_configs is refused by name, and so are oauth2 and what signs requests for a cloud. */
#ifndef COLLECTOR_SCRAPE_CONFIG_H
#define COLLECTOR_SCRAPE_CONFIG_H

#include "base/yaml.h"

struct scrape_config;

/* The caller owns the result. NULL: ERR_INVALID or ERR_PARSE "FILE:LINE: KEY: what", ERR_NOTFOUND and ERR_IO of a file
 * it names, ERR_NOMEM. `root` NULL or without those keys: nothing to scrape. */
struct scrape_config *scrape_config_read(const char *file, const struct yaml_node *root, struct err *e);
void scrape_config_free(struct scrape_config *c);
size_t scrape_config_jobs(const struct scrape_config *c);

#endif
