/* podspec-internal.h: from a Deployment's template to addresses, environments and command lines. */
#ifndef CMD_PODSPEC_INTERNAL_H
#define CMD_PODSPEC_INTERNAL_H

#include "cmd/pod-internal.h"

#include <arpa/inet.h>

/* 127.SECOND.x.y of a Pod's number: 10 the Pod's, 11 its application's. */
void podspec_address(char out[INET_ADDRSTRLEN], unsigned second, unsigned number);
/* Fills name, ns, deployment, labels, ports, image, … ERR_NOTFOUND, ERR_INVALID, ERR_NOMEM. */
int podspec_read(struct pod *p, const struct mesh_object *deployment, const struct images *images, struct err *e);
/* Fills p->env; the Pod's number must be taken. */
int podspec_environment(struct pod *p, const struct mesh_object *deployment, const struct mesh_objects *objects,
                        struct err *e);
/* Command lines, NULL-terminated, in the Pod's arena; NULL: no memory. */
char **podspec_command(struct pod *p);
char **podspec_sidecar(struct pod *p);
/* The Pod's own folder; it exists. */
const char *podspec_folder(struct pod *p);
uint64_t podspec_hash(const struct mesh_object *deployment);

#endif
