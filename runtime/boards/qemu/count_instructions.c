/* A QEMU plugin that writes the number of instructions executed at each BOARD_MARK of board.h, one
 * a line, to the file given as out=PATH. Exact and the same in every run.
 *
 * The declarations follow the plugin interface of QEMU 4.2 to 8.2 ("QEMU TCG Plugins"), of which
 * distributions ship no header.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
enum { INLINE_ADD = 0 };
enum { NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t,
                                                            struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *insn);
size_t qemu_plugin_insn_size(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_insn_exec_inline(struct qemu_plugin_insn *insn, int operation,
                                                void *counter, uint64_t amount);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*callback)(unsigned, void *), int flags,
                                            void *argument);

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

static uint64_t count;
static FILE *out;

static void note(unsigned cpu, void *argument) {
  (void)cpu;
  (void)argument;
  fprintf(out, "%" PRIu64 "\n", count);
  fflush(out);
}

static bool is_mark(const struct qemu_plugin_insn *insn) {
  static const uint8_t dbg_1[] = {0xaf, 0xf3, 0xf1, 0x80};
  return qemu_plugin_insn_size(insn) == sizeof(dbg_1) &&
         memcmp(qemu_plugin_insn_data(insn), dbg_1, sizeof(dbg_1)) == 0;
}

static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
  (void)id;
  for (size_t k = 0; k < qemu_plugin_tb_n_insns(tb); k++) {
    struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, k);
    qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD, &count, 1);
    if (is_mark(insn)) qemu_plugin_register_vcpu_insn_exec_cb(insn, note, NO_REGISTERS, NULL);
  }
}

/* `info` is about the machine, and of no use here. */
__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id,
                                                               const void *info, int argc,
                                                               char **argv) {
  (void)info;
  if (argc != 1 || strncmp(argv[0], "out=", 4) != 0) return -1;
  out = fopen(argv[0] + 4, "w");
  if (!out) return -1;
  qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
  return 0;
}
