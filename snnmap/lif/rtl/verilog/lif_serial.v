// Lets a host load, run and read a chip over a serial line: 8 bits, no parity, one stop bit, bytes of a number lowest first.
//
// 1 block addr*3 word*4   write a word of a memory (block: kind * 4 + synapse)
// 2                       clear; answers cycles*4 when it has ended
// 3 channel*3 count       the count of an input channel in the step to come
// 4                       run a step; answers cycles*4 when it has ended
// 5 slot*3                answers count, potential*4, and current*4 of each synapse
// Another first byte is answered by ff. A byte that comes while the core runs (2, 4) is not heard: the answer then is ffffffff.
// Wait for each answer before the next command.
`default_nettype none
module lif_serial #(
    parameter BIT = 217,                // clock cycles of a bit
    parameter A = 5, P = 6, S = 2, X = 16, CNT = 5
) (
    input wire clk, rst, rx,
    output wire tx,
    output reg clear, start, in_we, prog_we,
    input wire busy,
    output wire [A-1:0] in_addr, read_addr,
    output wire [7:0] in_count, prog_block,
    input wire [CNT-1:0] read_count, input wire [X-1:0] read_v, input wire [S*X-1:0] read_i,
    output wire [P-1:0] prog_addr, output wire [31:0] prog_data
);
    localparam ANSWER = 8 * (5 + 4 * S), C = $clog2(2 * BIT);

    // receive a byte: from the middle of its start bit on, every BIT cycles
    reg [1:0] line;
    reg [C-1:0] rx_clock;
    reg [3:0] rx_bits;                  // that are left
    reg [7:0] rx_byte;
    reg came;
    always @(posedge clk) begin
        line <= {line[0], rx};
        came <= 0;
        if (rst) rx_bits <= 0;
        else if (rx_bits == 0) begin
            rx_clock <= BIT + BIT / 2 - 1;
            if (!line[1]) rx_bits <= 9;
        end else if (rx_clock != 0) rx_clock <= rx_clock - 1'b1;
        else begin
            rx_clock <= BIT - 1;
            rx_bits <= rx_bits - 1'b1;
            if (rx_bits != 1) rx_byte <= {line[1], rx_byte[7:1]};
            came <= rx_bits == 1 && line[1];        // with its stop bit
        end
    end

    // collect a command, do it, and answer
    localparam COLLECT = 2'd0, WAIT = 2'd1, READ = 2'd2, SEND = 2'd3;
    reg [1:0] state;
    reg [71:0] command;  // lint_off UNUSEDSIGNAL
    reg [3:0] n_bytes;
    reg early;                          // a byte came while the core ran
    reg [31:0] cycles;
    reg [ANSWER-1:0] answer;
    reg [3:0] to_send;
    wire [7:0] code = n_bytes == 0 ? rx_byte : command[7:0];
    wire [3:0] wanted = code == 1 ? 4'd9 : code == 3 ? 4'd5 : code == 5 ? 4'd4 : 4'd1;
    wire whole = came && n_bytes + 1'b1 == wanted;
    wire sent;
    integer k;
    always @(posedge clk) begin
        {clear, start, in_we, prog_we} <= 0;
        cycles <= cycles + 1'b1;
        early <= state == WAIT && (early || came);
        if (rst) begin
            state <= COLLECT;
            n_bytes <= 0;
        end else case (state)
            COLLECT: if (came) begin
                command[8*n_bytes +: 8] <= rx_byte;
                n_bytes <= whole ? 4'd0 : n_bytes + 1'b1;
                cycles <= 0;
                answer <= 8'hff;  // lint_off WIDTHEXPAND
                to_send <= 1;
                if (whole) begin
                    {clear, start, in_we, prog_we} <= {code == 2, code == 4, code == 3, code == 1};
                    state <= code == 2 || code == 4 ? WAIT : code == 5 ? READ : code == 1 || code == 3 ? COLLECT : SEND;
                end
            end
            WAIT: if (cycles != 0 && !clear && !start && !busy) begin
                answer <= cycles | {32{early || came}};  // lint_off WIDTHEXPAND
                to_send <= 4;
                state <= SEND;
            end
            READ: if (cycles == 2) begin        // the address is there since cycle 0
                answer[7:0] <= read_count;  // lint_off WIDTHEXPAND
                answer[39:8] <= $signed(read_v);  // lint_off WIDTHEXPAND
                for (k = 0; k < S; k = k + 1) answer[40+32*k +: 32] <= $signed(read_i[k*X +: X]);  // lint_off WIDTHEXPAND
                to_send <= 5 + 4 * S;
                state <= SEND;
            end
            SEND: if (sent) begin
                answer <= answer >> 8;
                to_send <= to_send - 1'b1;
                if (to_send == 1) state <= COLLECT;
            end
        endcase
    end
    assign prog_block = command[15:8];
    assign prog_addr = command[16 +: P];
    assign prog_data = command[71:40];
    assign in_addr = command[8 +: A];
    assign in_count = command[39:32];
    assign read_addr = command[8 +: A];

    // send a byte: start bit, data, stop bit
    reg [C-1:0] tx_clock;
    reg [3:0] tx_bits;
    reg [8:0] tx_rest;
    assign tx = tx_bits == 0 || tx_rest[0];
    assign sent = tx_bits == 1 && tx_clock == 0;
    always @(posedge clk)
        if (rst) tx_bits <= 0;
        else if (tx_bits == 0) begin
            tx_clock <= BIT - 1;
            if (state == SEND) {tx_bits, tx_rest} <= {4'd10, answer[7:0], 1'b0};
        end else if (tx_clock != 0) tx_clock <= tx_clock - 1'b1;
        else begin
            tx_clock <= BIT - 1;
            tx_bits <= tx_bits - 1'b1;
            tx_rest <= {1'b1, tx_rest[8:1]};
        end
endmodule
`default_nettype wire
