/* SPDX-License-Identifier: MIT */
/*
 * The first instructions of the guest, and the first instructions of each interrupt.
 *
 * QEMU loads the image because of the Multiboot header and jumps to _start in 32-bit protected mode
 * without paging. The segments of that moment come from QEMU's loader and their table may be gone,
 * so we load our own: an interrupt reads the code segment from the table again. Then there is a
 * stack, and C takes over.
 *
 * Each of the 256 interrupt numbers has its own entry of 16 bytes: it pushes its number and joins
 * the common path. interrupt.c fills the interrupt descriptor table with the entries' addresses.
 */

        .section .multiboot, "a"
        .align 4
        .long 0x1badb002                /* Multiboot magic */
        .long 0                         /* flags: we ask for nothing */
        .long -0x1badb002               /* checksum: the three words add up to 0 */

        .text
        .globl _start
_start:
        cli
        cld
        movl $stack_top, %esp
        lgdt gdt_pointer
        ljmp $0x08, $1f
1:      movw $0x10, %ax
        movw %ax, %ds
        movw %ax, %es
        movw %ax, %fs
        movw %ax, %gs
        movw %ax, %ss
        call guest_main
2:      cli                             /* guest_main() does not return */
        hlt
        jmp 2b

        .globl interrupt_entries
        .align 16
interrupt_entries:
        .set number, 0
        .rept 256
        .align 16
        pushl $number
        jmp interrupt_common
        .set number, number + 1
        .endr

interrupt_common:
        pushal
        cld
        pushl 32(%esp)                  /* the number, below the eight registers of pushal */
        call interrupt_handle
        addl $4, %esp
        popal
        addl $4, %esp                   /* the number */
        iret

        .section .rodata
        .align 8
gdt:
        .quad 0
        .quad 0x00cf9b000000ffff        /* 0x08: code, base 0, 4 GiB */
        .quad 0x00cf93000000ffff        /* 0x10: data, base 0, 4 GiB */
gdt_pointer:
        .word gdt_pointer - gdt - 1
        .long gdt

        .bss
        .align 16
        .skip 16384
stack_top:

        .section .note.GNU-stack, "", @progbits
